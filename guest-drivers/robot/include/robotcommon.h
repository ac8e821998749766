/*
 * What every driver of a robot needs, whether it is half of a pair or has the framework for its other half: tables of codes, what
 * interrupts told, events that wait for a reader.
 */
#ifndef ROBOTCOMMON_H
#define ROBOTCOMMON_H

#include <ntddk.h>
#include <robot.h>

/* Memory that the robot shares is in order on both sides. */
#define ROBOT_BARRIER() __sync_synchronize()

#define ROBOT_MOST_COMMANDS 4096 /* of one program */
#define ROBOT_EVENTS 64 /* that are kept for want of a reader */

/* What a robot's code or bit is in robot.h's terms. A table of them ends with a Robot of 0. */
typedef struct _ROBOT_TRANSLATION {
    ULONG Device;
    ULONG Robot;
} ROBOT_TRANSLATION;

typedef struct _ROBOT_COLLECTION {
    ULONG Causes; /* in: of one or more interrupts */
    ULONG Bumpers; /* out: that were pressed */
    ULONG Faults; /* out: ROBOT_FAULT_ bits */
    ULONG Battery; /* out, with BatteryFell: percent */
    BOOLEAN BatteryFell; /* out */
    BOOLEAN Near; /* out: something came near in front */
} ROBOT_COLLECTION, *PROBOT_COLLECTION;

/* The newest ROBOT_EVENTS events that nobody has read. */
typedef struct _ROBOT_EVENT_LOG {
    ROBOT_EVENT Events[ROBOT_EVENTS];
    ULONG First, Count;
    ULONG Last; /* number of the newest there ever was */
} ROBOT_EVENT_LOG, *PROBOT_EVENT_LOG;

static inline ULONG RobotTranslateResult(const ROBOT_TRANSLATION *table, ULONG code)
{
    while (table->Robot != 0 && table->Device != code) table++;
    return table->Robot != 0 ? table->Robot : RobotFailed;
}

static inline ULONG RobotTranslateFlags(const ROBOT_TRANSLATION *table, ULONG flags)
{
    ULONG result = 0;

    for (; table->Robot != 0; table++) {
        if ((flags & table->Device) != 0) result |= table->Robot;
    }
    return result;
}

static inline void RobotAddEvent(PROBOT_EVENT_LOG log, ULONG type, ULONG value, ULONG tag)
{
    PROBOT_EVENT event;

    if (log->Count == ROBOT_EVENTS) {
        log->First = (log->First + 1) % ROBOT_EVENTS;
        log->Count--;
    }
    event = &log->Events[(log->First + log->Count++) % ROBOT_EVENTS];
    event->Type = type;
    event->Value = value;
    event->Number = ++log->Last;
    event->Tag = tag;
}

static inline void RobotAddCollection(PROBOT_EVENT_LOG log, const ROBOT_COLLECTION *collection)
{
    if (collection->Bumpers != 0) RobotAddEvent(log, RobotEventBump, collection->Bumpers, 0);
    if (collection->Near) RobotAddEvent(log, RobotEventNear, 0, 0);
    if (collection->Faults != 0) RobotAddEvent(log, RobotEventFault, collection->Faults, 0);
    if (collection->BatteryFell) RobotAddEvent(log, RobotEventBattery, collection->Battery, 0);
}

/* The oldest events, as many as there are and fit into length bytes; how many bytes they are. */
static inline ULONG RobotTakeEvents(PROBOT_EVENT_LOG log, PROBOT_EVENT out, ULONG length)
{
    ULONG n;

    for (n = 0; n < length / sizeof *out && log->Count > 0; n++) {
        out[n] = log->Events[log->First];
        log->First = (log->First + 1) % ROBOT_EVENTS;
        log->Count--;
    }
    return n * sizeof *out;
}

#endif
