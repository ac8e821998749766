/*
 * Programs and readers: requests that wait, each with a cancel routine from the moment it is queued until it has ended.
 * Whoever takes the cancel routine out ends the request; when the I/O manager was first, RobotCancel ends it, and finds it either
 * active, queued, or, when this side has let go of it already, alone in a list of its own.
 */
#include "general.h"

/* Puts a request that this side owns with those to be ended. */
static void End(PIRP irp, NTSTATUS status, ULONG_PTR information, PLIST_ENTRY ended)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    InsertTailList(ended, &irp->Tail.Overlay.ListEntry);
}

/* FALSE: RobotCancel is on its way to this request, which must be let go. */
static BOOLEAN Own(PIRP irp)
{
    if (IoSetCancelRoutine(irp, NULL) != NULL) return TRUE;
    InitializeListHead(&irp->Tail.Overlay.ListEntry);
    return FALSE;
}

/* Gives events to readers while there are both. */
static void ServeReaders(PROBOT_EXTENSION extension, PLIST_ENTRY ended)
{
    while (extension->Events.Count > 0 && !IsListEmpty(&extension->Readers)) {
        PIRP irp = CONTAINING_RECORD(RemoveHeadList(&extension->Readers), IRP, Tail.Overlay.ListEntry);

        if (!Own(irp)) continue;
        End(irp, STATUS_SUCCESS, RobotTakeEvents(&extension->Events, irp->AssociatedIrp.SystemBuffer,
            IoGetCurrentIrpStackLocation(irp)->Parameters.Read.Length), ended);
    }
}

/* Ends the active program. Completion: of the command that decided, or NULL; Override: a status for it, or 0. Locked. */
void RobotFinish(PROBOT_EXTENSION Extension, ULONG Result, PROBOT_COMPLETION Completion, NTSTATUS Override, PLIST_ENTRY Ended)
{
    PIRP irp = Extension->Active;
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    ULONG at = Extension->Done < Extension->Count ? Extension->Done : Extension->Count - 1;
    ROBOT_COMMAND last = Extension->Commands[at];

    Extension->Active = NULL;
    if (Result != RobotOk) {
        if (Extension->Ready) RobotCall(Extension, RobotDeviceControlCallback, RobotControlAbort, NULL);
        RobotAddEvent(&Extension->Events, RobotEventProgram, Result, last.Tag);
        ServeReaders(Extension, Ended);
    }
    if (!Own(irp)) return;
    if (!NT_SUCCESS(Override)) {
        End(irp, Override, 0, Ended);
    } else if (stack->MajorFunction == IRP_MJ_WRITE) {
        End(irp, Extension->Done > 0 ? STATUS_SUCCESS : STATUS_IO_DEVICE_ERROR, Extension->Done * sizeof(ROBOT_COMMAND), Ended);
    } else {
        PROBOT_COMPLETION out = irp->AssociatedIrp.SystemBuffer;

        RtlZeroMemory(out, sizeof *out);
        if (Completion != NULL) *out = *Completion;
        out->Tag = last.Tag;
        out->Opcode = last.Opcode;
        out->Result = Result;
        End(irp, STATUS_SUCCESS, sizeof *out, Ended);
    }
}

/* Submits what the active program still has, and starts the next when there is none. Locked. */
void RobotAdvance(PROBOT_EXTENSION Extension, PLIST_ENTRY Ended)
{
    while (Extension->Ready) {
        NTSTATUS status = STATUS_SUCCESS;

        if (Extension->Active == NULL) {
            PIO_STACK_LOCATION stack;
            PIRP irp;

            if (Extension->Hold || IsListEmpty(&Extension->Programs)) return;
            irp = CONTAINING_RECORD(RemoveHeadList(&Extension->Programs), IRP, Tail.Overlay.ListEntry);
            InitializeListHead(&irp->Tail.Overlay.ListEntry);
            stack = IoGetCurrentIrpStackLocation(irp);
            Extension->Active = irp;
            Extension->Commands = irp->AssociatedIrp.SystemBuffer;
            Extension->Count = stack->MajorFunction == IRP_MJ_WRITE ? stack->Parameters.Write.Length / sizeof(ROBOT_COMMAND) : 1;
            Extension->Next = Extension->Done = 0;
        }
        while (Extension->Next < Extension->Count && Extension->Next - Extension->Done < Extension->Description.Capacity) {
            status = RobotCall(Extension, RobotDeviceControlCallback, RobotControlSubmit, &Extension->Commands[Extension->Next]);
            if (!NT_SUCCESS(status)) break;
            Extension->Next++;
        }
        /* A refusal counts when its turn comes: what was submitted before it ends first. */
        if (Extension->Done < Extension->Next) return;
        RobotFinish(Extension, status == STATUS_INVALID_PARAMETER ? RobotInvalid : RobotFailed, NULL, 0, Ended);
    }
}

/* The next command that ended. FALSE: none. An engine that has halted and left one without an end has failed it. Locked. */
static BOOLEAN NextCompletion(PROBOT_EXTENSION extension, PROBOT_COMPLETION completion)
{
    RtlZeroMemory(completion, sizeof *completion);
    if (!NT_SUCCESS(RobotCall(extension, RobotDeviceControlCallback, RobotControlReap, completion))) {
        if (!NT_SUCCESS(RobotCall(extension, RobotDeviceControlCallback, RobotControlHalted, NULL))) return FALSE;
        /* The robot may have written it since. */
        if (!NT_SUCCESS(RobotCall(extension, RobotDeviceControlCallback, RobotControlReap, completion))) {
            completion->Result = RobotFailed;
            return TRUE;
        }
    }
    completion->Result = RobotTranslateResult(extension->Description.Results, completion->Result);
    return TRUE;
}

/* Takes what has ended from the robot. Locked. */
static void Reap(PROBOT_EXTENSION extension, PLIST_ENTRY ended)
{
    ROBOT_COMPLETION completion;

    while (extension->Active != NULL && extension->Done < extension->Next && NextCompletion(extension, &completion)) {
        extension->Statistics.Commands++;
        if (completion.Result != RobotOk) {
            RobotFinish(extension, completion.Result, &completion, 0, ended);
        } else if (++extension->Done == extension->Count) {
            RobotFinish(extension, RobotOk, &completion, 0, ended);
        }
    }
    RobotAdvance(extension, ended);
}

void NTAPI RobotDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PROBOT_EXTENSION extension = Context;
    ROBOT_COLLECTION collection;
    LIST_ENTRY ended;
    KIRQL irql;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InitializeListHead(&ended);
    RtlZeroMemory(&collection, sizeof collection);
    KeAcquireSpinLock(&extension->Lock, &irql);
    collection.Causes = (ULONG)InterlockedExchange((PLONG)&extension->Causes, 0);
    extension->Statistics.Dpcs++;
    if (extension->Ready) {
        RobotCall(extension, RobotDeviceControlCallback, RobotControlCollect, &collection);
        RobotAddCollection(&extension->Events, &collection);
        Reap(extension, &ended);
        ServeReaders(extension, &ended);
    }
    KeReleaseSpinLock(&extension->Lock, irql);
    RobotEndRequests(extension, &ended);
}

static void NTAPI RobotCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PROBOT_EXTENSION extension = DeviceObject->DeviceExtension;
    LIST_ENTRY ended;
    KIRQL irql;

    IoReleaseCancelSpinLock(Irp->CancelIrql);
    InitializeListHead(&ended);
    KeAcquireSpinLock(&extension->Lock, &irql);
    extension->Statistics.Cancelled++;
    if (Irp == extension->Active) {
        /* The robot works on copies of the commands: after the abort nothing of the request is in use. */
        extension->Active = NULL;
        if (extension->Ready) RobotCall(extension, RobotDeviceControlCallback, RobotControlAbort, NULL);
        RobotAdvance(extension, &ended);
    } else {
        RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
    }
    End(Irp, STATUS_CANCELLED, 0, &ended);
    KeReleaseSpinLock(&extension->Lock, irql);
    RobotEndRequests(extension, &ended);
}

/* Takes a request, which holds the remove lock, to its end; always STATUS_PENDING. Queue: Programs or Readers. */
NTSTATUS RobotQueueRequest(PROBOT_EXTENSION Extension, PIRP Irp, PLIST_ENTRY Queue)
{
    LIST_ENTRY ended;
    KIRQL irql;

    InitializeListHead(&ended);
    IoMarkIrpPending(Irp);
    KeAcquireSpinLock(&Extension->Lock, &irql);
    if (Extension->State >= RobotGone) {
        End(Irp, STATUS_NO_SUCH_DEVICE, 0, &ended);
    } else if (Extension->Failed) {
        End(Irp, STATUS_DEVICE_NOT_READY, 0, &ended);
    } else {
        InsertTailList(Queue, &Irp->Tail.Overlay.ListEntry);
        IoSetCancelRoutine(Irp, RobotCancel);
        /* Cancelled before there was a routine to call: nobody else will end it. */
        if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL) {
            RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
            Extension->Statistics.Cancelled++;
            End(Irp, STATUS_CANCELLED, 0, &ended);
        }
        RobotAdvance(Extension, &ended);
        ServeReaders(Extension, &ended);
    }
    KeReleaseSpinLock(&Extension->Lock, irql);
    RobotEndRequests(Extension, &ended);
    return STATUS_PENDING;
}

static void FlushQueue(PLIST_ENTRY queue, PFILE_OBJECT file, NTSTATUS status, PLIST_ENTRY ended)
{
    PLIST_ENTRY entry = queue->Flink;

    while (entry != queue) {
        PIRP irp = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);

        entry = entry->Flink;
        if (file != NULL && IoGetCurrentIrpStackLocation(irp)->FileObject != file) continue;
        RemoveEntryList(&irp->Tail.Overlay.ListEntry);
        if (Own(irp)) End(irp, status, 0, ended);
    }
}

/* Ends all requests of a file, or with NULL of everybody. Locked. */
void RobotFlush(PROBOT_EXTENSION Extension, PFILE_OBJECT File, NTSTATUS Status, PLIST_ENTRY Ended)
{
    FlushQueue(&Extension->Programs, File, Status, Ended);
    FlushQueue(&Extension->Readers, File, Status, Ended);
    if (Extension->Active != NULL && (File == NULL || IoGetCurrentIrpStackLocation(Extension->Active)->FileObject == File)) {
        RobotFinish(Extension, RobotAborted, NULL, Status, Ended);
        RobotAdvance(Extension, Ended);
    }
}

void RobotEndRequests(PROBOT_EXTENSION Extension, PLIST_ENTRY Ended)
{
    while (!IsListEmpty(Ended)) {
        PIRP irp = CONTAINING_RECORD(RemoveHeadList(Ended), IRP, Tail.Overlay.ListEntry);

        IoCompleteRequest(irp, IO_NO_INCREMENT);
        IoReleaseRemoveLock(&Extension->RemoveLock, irp);
    }
}
