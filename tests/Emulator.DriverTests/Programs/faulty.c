/* Memory, locks, IRQL and the processor. */
#include "skeleton.h"

static const char constant = 2;

void Pageable(void);
__attribute__((section("PAGE"), noinline)) void Pageable(void)
{
    __asm__ volatile ("");
}

static KTIMER Timer;
static FAST_MUTEX Mutex;
static KSEMAPHORE Semaphore;

static void NTAPI Endless(PVOID context)
{
    KEVENT never;

    UNREFERENCED_PARAMETER(context);
    KeInitializeEvent(&never, NotificationEvent, FALSE);
    KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, NULL);
}

static void NTAPI AskForMuch(PVOID context)
{
    KEVENT event;
    IO_STATUS_BLOCK result;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IoBuildDeviceIoControlRequest(0x222000, context, NULL, 0, NULL, 0x7fffffff, FALSE, &event, &result);
}

/* No tail call, and no end. */
__attribute__((noinline)) static int Overflow(int depth)
{
    volatile char frame[256];

    frame[depth & 255] = (char)depth;
    return Overflow(depth + 1) + frame[0];
}

/* Two DPC routines. The assembler names them, as both machines' linkers then show them. */
void Clobber(void) __asm__("Clobber");
void Unbalance(void) __asm__("Unbalance");
#ifdef _AMD64_
__asm__(".section .text$Clobber,\"x\"\n.globl Clobber\nClobber: xorl %ebx, %ebx\n ret\n"
    ".section .text$Unbalance,\"x\"\n.globl Unbalance\nUnbalance: pop %rax\n pop %rcx\n jmp *%rax\n.text");
#else
__asm__(".section .text$Clobber,\"x\"\n.globl Clobber\nClobber: xorl %ebx, %ebx\n ret $16\n"
    ".section .text$Unbalance,\"x\"\n.globl Unbalance\nUnbalance: ret $12\n.text");
#endif

static NTSTATUS Serve(PDEVICE_OBJECT device, EXTENSION *extension, PIRP irp, int fault)
{
    volatile char *pool;
    PDEVICE_OBJECT one, other;
    KEVENT event;
    KIRQL irql;

    switch (fault) {
    case 0: return Finish(irp, STATUS_SUCCESS);
    case 4: KeAcquireSpinLock(&extension->Lock, &irql); return Finish(irp, STATUS_SUCCESS); /* kept */
    case 5: /* taken twice */
        KeAcquireSpinLock(&extension->Lock, &irql);
        KeAcquireSpinLock(&extension->Lock, &irql);
        break;
    case 6: KeReleaseSpinLock(&extension->Lock, PASSIVE_LEVEL); return Finish(irp, STATUS_SUCCESS); /* not held */
    case 7: /* paged pool at DISPATCH_LEVEL */
        KeAcquireSpinLock(&extension->Lock, &irql);
        pool = ExAllocatePoolWithTag(PagedPool, 16, 'tseT');
        KeReleaseSpinLock(&extension->Lock, irql);
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        return Finish(irp, STATUS_SUCCESS);
    case 8: /* freed twice */
        pool = ExAllocatePoolWithTag(NonPagedPool, 16, 'tseT');
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        return Finish(irp, STATUS_SUCCESS);
    case 9: /* written past its end, inside the alignment */
        pool = ExAllocatePoolWithTag(NonPagedPool, 13, 'tseT');
        pool[13] = 1;
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        return Finish(irp, STATUS_SUCCESS);
    case 10: /* written past its page */
        pool = ExAllocatePoolWithTag(NonPagedPool, 16, 'tseT');
        pool[16] = 1;
        break;
    case 11: /* used after it was freed */
        pool = ExAllocatePoolWithTag(NonPagedPool, 16, 'tseT');
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        pool[0] = 1;
        break;
    case 12: extension->Pool = ExAllocatePoolWithTag(NonPagedPool, 16, 'tseT'); return Finish(irp, STATUS_SUCCESS); /* never freed */
    case 13: IoReleaseRemoveLock(&extension->RemoveLock, irp); return Finish(irp, STATUS_SUCCESS); /* not acquired */
    case 14: IoAcquireRemoveLock(&extension->RemoveLock, irp); return Finish(irp, STATUS_SUCCESS); /* never released */
    case 15: /* a wait that nothing ends */
        KeInitializeEvent(&event, NotificationEvent, FALSE);
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
        break;
    case 17: /* a wait while holding a lock */
        KeInitializeEvent(&event, NotificationEvent, TRUE);
        KeAcquireSpinLock(&extension->Lock, &irql);
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
        KeReleaseSpinLock(&extension->Lock, irql);
        return Finish(irp, STATUS_SUCCESS);
    case 18: /* a lock released upward */
        KeAcquireSpinLock(&extension->Lock, &irql);
        KeReleaseSpinLock(&extension->Lock, 3);
        break;
    case 19: /* nothing at all asked for */
        pool = ExAllocatePoolWithTag(NonPagedPool, 0, 'tseT');
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        return Finish(irp, STATUS_SUCCESS);
    case 20: ExFreePoolWithTag(extension, 'tseT'); return Finish(irp, STATUS_SUCCESS); /* not pool */
    case 21: /* paged pool freed at DISPATCH_LEVEL */
        pool = ExAllocatePoolWithTag(PagedPool, 16, 'tseT');
        KeAcquireSpinLock(&extension->Lock, &irql);
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        KeReleaseSpinLock(&extension->Lock, irql);
        return Finish(irp, STATUS_SUCCESS);
    case 22: /* paged pool touched at DISPATCH_LEVEL */
        pool = ExAllocatePoolWithTag(PagedPool, 16, 'tseT');
        KeAcquireSpinLock(&extension->Lock, &irql);
        pool[3] = pool[4];
        KeReleaseSpinLock(&extension->Lock, irql);
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        return Finish(irp, STATUS_SUCCESS);
    case 23: /* pageable code at DISPATCH_LEVEL */
        KeAcquireSpinLock(&extension->Lock, &irql);
        Pageable();
        KeReleaseSpinLock(&extension->Lock, irql);
        return Finish(irp, STATUS_SUCCESS);
    case 24: IoReleaseRemoveLock((PIO_REMOVE_LOCK)&extension->Lock, irp); break; /* no remove lock */
    case 25: /* held twice, so that the removal cannot go on */
        IoAcquireRemoveLock(&extension->RemoveLock, irp);
        IoAcquireRemoveLock(&extension->RemoveLock, irp);
        IoReleaseRemoveLockAndWait(&extension->RemoveLock, irp);
        break;
    case 26: return Finish(irp, Overflow(0) != 0 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL); /* the stack used up */
    case 27: *(volatile char *)&constant = 1; break; /* written to what is read-only */
    case 28: ((void (*)(void))(ULONG_PTR)extension)(); break; /* data run as code */
    case 29: return Finish(irp, *(volatile NTSTATUS *)(ULONG_PTR)8); /* through a null pointer */
    case 30: KeBugCheckEx(0xe2, 1, 2, 3, 4); break;
    case 31: __asm__ volatile ("cli"); return Finish(irp, STATUS_SUCCESS); /* interrupts left off */
    case 32: /* a function that does not keep a register */
    case 33: /* or the stack pointer */
        KeInitializeDpc(&extension->Dpc, (PKDEFERRED_ROUTINE)(fault == 32 ? Clobber : Unbalance), extension);
        KeInsertQueueDpc(&extension->Dpc, NULL, NULL);
        return Finish(irp, STATUS_SUCCESS);
    case 40: /* a timer left set */
        KeInitializeTimer(&Timer);
        KeSetTimer(&Timer, (LARGE_INTEGER){ .QuadPart = -600000000 }, NULL);
        return Finish(irp, STATUS_SUCCESS);
    case 41: /* a timer in pool that is freed */
        pool = ExAllocatePoolWithTag(NonPagedPool, sizeof Timer, 'tseT');
        KeInitializeTimer((PKTIMER)pool);
        KeSetTimer((PKTIMER)pool, (LARGE_INTEGER){ .QuadPart = -600000000 }, NULL);
        ExFreePoolWithTag((PVOID)pool, 'tseT');
        return Finish(irp, STATUS_SUCCESS);
    case 42: /* a thread that does not end */
        PsCreateSystemThread((HANDLE *)&pool, THREAD_ALL_ACCESS, NULL, NULL, NULL, Endless, NULL);
        ZwClose((HANDLE)pool);
        return Finish(irp, STATUS_SUCCESS);
    case 43: ZwClose((HANDLE)0x4444); return Finish(irp, STATUS_SUCCESS); /* no handle */
    case 44: /* a fast mutex released twice */
        ExInitializeFastMutex(&Mutex);
        ExReleaseFastMutex(&Mutex);
        return Finish(irp, STATUS_SUCCESS);
    case 45: /* and taken twice */
        ExInitializeFastMutex(&Mutex);
        ExAcquireFastMutex(&Mutex);
        ExAcquireFastMutex(&Mutex);
        break;
    case 46: /* a lock for DISPATCH_LEVEL at PASSIVE_LEVEL */
        KeAcquireSpinLockAtDpcLevel(&extension->Lock);
        KeReleaseSpinLockFromDpcLevel(&extension->Lock);
        return Finish(irp, STATUS_SUCCESS);
    case 47: /* a semaphore beyond its limit */
        KeInitializeSemaphore(&Semaphore, 1, 1);
        KeReleaseSemaphore(&Semaphore, 0, 1, FALSE);
        break;
    case 48: IoAllocateMdl(extension, 16, FALSE, FALSE, NULL); return Finish(irp, STATUS_SUCCESS); /* left */
    case 49: /* mapped without being locked */
        pool = (PVOID)IoAllocateMdl(extension, 16, FALSE, FALSE, NULL);
        MmMapLockedPagesSpecifyCache((PMDL)pool, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
        IoFreeMdl((PMDL)pool);
        return Finish(irp, STATUS_SUCCESS);
    case 50: IoAllocateWorkItem(device); return Finish(irp, STATUS_SUCCESS); /* left */
    case 51: /* read from user space, where no process is */
        return Finish(irp, *(volatile NTSTATUS *)(ULONG_PTR)0x401000);
    case 52: /* more bytes compared than there can be */
        return Finish(irp, RtlCompareMemory(extension, extension, (SIZE_T)0x7fffffff) == 0 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL);
    case 53: /* a request with a buffer larger than all of the pool, made by a thread */
        PsCreateSystemThread((HANDLE *)&pool, THREAD_ALL_ACCESS, NULL, NULL, NULL, AskForMuch, extension->Lower);
        ZwClose((HANDLE)pool);
        KeDelayExecutionThread(KernelMode, FALSE, &(LARGE_INTEGER){ .QuadPart = -10000 });
        return Finish(irp, STATUS_SUCCESS);
    case 54: IoAttachDeviceToDeviceStack(device, device); break;
    case 55: /* a stack in a circle, which the next attaching looks for the top of */
        device->AttachedDevice = device;
        IoAttachDeviceToDeviceStack(extension->Lower, device);
        break;
    case 56: /* a list of the driver's devices that has no end */
        IoCreateDevice(device->DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &one);
        IoCreateDevice(device->DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &other);
        other->NextDevice = other;
        IoDeleteDevice(one);
        break;
    default: break;
    }
    return Finish(irp, STATUS_INVALID_PARAMETER);
}

