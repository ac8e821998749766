/* Message interrupts where NT has them (IoConnectInterruptEx, NT 6.0), one line where not. */
#include "general.h"

typedef NTSTATUS NTAPI CONNECT_EX(PIO_CONNECT_INTERRUPT_PARAMETERS Parameters);
typedef void NTAPI DISCONNECT_EX(PIO_DISCONNECT_INTERRUPT_PARAMETERS Parameters);

/* Not imported: NT 5.2 would refuse to load the driver. NULL when NT has no such routine. */
static PVOID Routine(PCWSTR name)
{
    UNICODE_STRING string;

    RtlInitUnicodeString(&string, name);
    return MmGetSystemRoutineAddress(&string);
}

static BOOLEAN NTAPI RobotIsr(PKINTERRUPT Interrupt, PVOID Context)
{
    PROBOT_EXTENSION extension = Context;
    ULONG causes = 0;

    UNREFERENCED_PARAMETER(Interrupt);
    /* A robot that is down asks for nothing, whatever causes it has kept: the line is another's. Messages may be served at the same time. */
    if (!extension->Listening || !NT_SUCCESS(RobotCall(extension, RobotDeviceControlCallback, RobotControlInterrupt, &causes))) {
        InterlockedIncrement((PLONG)&extension->Statistics.Foreign);
        return FALSE;
    }
    InterlockedIncrement((PLONG)&extension->Statistics.Interrupts);
    InterlockedOr(&extension->Causes, (LONG)causes);
    KeInsertQueueDpc(&extension->Dpc, NULL, NULL);
    return TRUE;
}

/* Each message handles all causes: fewer may have been granted than the robot has. */
static BOOLEAN NTAPI RobotMessageIsr(PKINTERRUPT Interrupt, PVOID Context, ULONG Message)
{
    UNREFERENCED_PARAMETER(Message);
    return RobotIsr(Interrupt, Context);
}

/* Interrupt: the first of the translated resources. PASSIVE_LEVEL. */
NTSTATUS RobotConnect(PROBOT_EXTENSION Extension, PCM_PARTIAL_RESOURCE_DESCRIPTOR Interrupt)
{
    CONNECT_EX *connectEx = (CONNECT_EX *)Routine(L"IoConnectInterruptEx");
    NTSTATUS status;

    if (connectEx != NULL) {
        IO_CONNECT_INTERRUPT_PARAMETERS parameters;

        RtlZeroMemory(&parameters, sizeof parameters);
        parameters.Version = CONNECT_MESSAGE_BASED;
        parameters.MessageBased.PhysicalDeviceObject = Extension->Pdo;
        parameters.MessageBased.ConnectionContext.Generic = &Extension->Connection;
        parameters.MessageBased.MessageServiceRoutine = RobotMessageIsr;
        parameters.MessageBased.ServiceContext = Extension;
        parameters.MessageBased.FallBackServiceRoutine = RobotIsr;
        status = connectEx(&parameters);
        if (!NT_SUCCESS(status)) return status;
        /* NT says here whether it fell back to the line. */
        Extension->ConnectionVersion = parameters.Version;
        if (parameters.Version == CONNECT_MESSAGE_BASED) Extension->Messages = ((PIO_INTERRUPT_MESSAGE_INFO)Extension->Connection)->MessageCount;
        return STATUS_SUCCESS;
    }
    return IoConnectInterrupt(&Extension->Line, RobotIsr, Extension, NULL, Interrupt->u.Interrupt.Vector, (KIRQL)Interrupt->u.Interrupt.Level,
        (KIRQL)Interrupt->u.Interrupt.Level, (Interrupt->Flags & CM_RESOURCE_INTERRUPT_LATCHED) != 0 ? Latched : LevelSensitive,
        Interrupt->ShareDisposition == CmResourceShareShared, Interrupt->u.Interrupt.Affinity, FALSE);
}

/* Afterwards neither the ISR nor the DPC runs. PASSIVE_LEVEL; without effect when not connected. */
void RobotDisconnect(PROBOT_EXTENSION Extension)
{
    if (Extension->ConnectionVersion != 0) {
        DISCONNECT_EX *disconnectEx = (DISCONNECT_EX *)Routine(L"IoDisconnectInterruptEx");
        IO_DISCONNECT_INTERRUPT_PARAMETERS parameters;

        RtlZeroMemory(&parameters, sizeof parameters);
        parameters.Version = Extension->ConnectionVersion;
        parameters.ConnectionContext.Generic = Extension->Connection;
        disconnectEx(&parameters);
        Extension->ConnectionVersion = 0;
        Extension->Connection = NULL;
        Extension->Messages = 0;
    } else if (Extension->Line != NULL) {
        IoDisconnectInterrupt(Extension->Line);
        Extension->Line = NULL;
    }
    KeRemoveQueueDpc(&Extension->Dpc);
    KeFlushQueuedDpcs();
}
