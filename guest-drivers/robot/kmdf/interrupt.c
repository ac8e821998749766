/* Interrupts, by messages or the line: the framework connects them after EvtDeviceD0Entry. */
#include "kmdfrobot.h"

/* Each of the messages calls it; the bit for all is the same. */
NTSTATUS NTAPI EvtInterruptEnable(WDFINTERRUPT Interrupt, WDFDEVICE Device)
{
    UNREFERENCED_PARAMETER(Interrupt);
    ProsewareEnableInterrupts(RobotOf(Device)->Registers, TRUE);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI EvtInterruptDisable(WDFINTERRUPT Interrupt, WDFDEVICE Device)
{
    UNREFERENCED_PARAMETER(Interrupt);
    ProsewareEnableInterrupts(RobotOf(Device)->Registers, FALSE);
    return STATUS_SUCCESS;
}

BOOLEAN NTAPI EvtInterruptIsr(WDFINTERRUPT Interrupt, ULONG Message)
{
    PROBOT robot = RobotOf(WDF(WdfInterruptGetDevice, WDFDEVICE, WDFINTERRUPT)(WdfDriverGlobals, Interrupt));
    ULONG causes = ProsewareAcknowledge(robot->Registers);

    UNREFERENCED_PARAMETER(Message);
    if (causes == 0) {
        InterlockedIncrement((PLONG)&robot->Statistics.Foreign);
        return FALSE;
    }
    InterlockedIncrement((PLONG)&robot->Statistics.Interrupts);
    InterlockedOr(&robot->Causes, (LONG)causes);
    WDF(WdfInterruptQueueDpcForIsr, BOOLEAN, WDFINTERRUPT)(WdfDriverGlobals, Interrupt);
    return TRUE;
}

void NTAPI EvtInterruptDpc(WDFINTERRUPT Interrupt, WDFOBJECT Device)
{
    PROBOT robot = RobotOf(Device);
    ROBOT_COLLECTION collection;
    ENDED ended;
    KIRQL irql;

    UNREFERENCED_PARAMETER(Interrupt);
    RtlZeroMemory(&collection, sizeof collection);
    RtlZeroMemory(&ended, sizeof ended);
    KeAcquireSpinLock(&robot->Lock, &irql);
    collection.Causes = (ULONG)InterlockedExchange((PLONG)&robot->Causes, 0);
    robot->Statistics.Dpcs++;
    ProsewareCollect(robot->Registers, &collection);
    RobotAddCollection(&robot->Events, &collection);
    RobotReap(robot, &ended);
    KeReleaseSpinLock(&robot->Lock, irql);
    RobotComplete(&ended);
    RobotServeReaders(robot);
}
