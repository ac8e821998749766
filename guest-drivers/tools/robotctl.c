/*
 * robotctl.exe: drives a robot through the interface that its driver has, of robot.h.
 * robotctl [-n N] COMMAND ... ; see the usage text. Exit code: 0, 1 when the robot or Windows refuses, 2 for a bad command line.
 */
#include <windows.h>
#include <winioctl.h>
#include <setupapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <robot.h>
#include <afterthought.h>

static const GUID robots = ROBOT_INTERFACE_GUID;

static const char *const results[] = { "none", "ok", "blocked", "stalled", "aborted", "invalid", "disabled", "no power", "watchdog", "failed" };

static const struct {
    const char *Name;
    ULONG Opcode;
    int Arguments;
} commands[] = {
    { "nop", RobotNop, 0 }, { "drive", RobotDrive, 2 }, { "turn", RobotTurn, 2 }, { "velocity", RobotVelocity, 2 }, { "halt", RobotStop, 0 },
    { "tool", RobotTool, 1 }, { "light", RobotLight, 1 }, { "wait", RobotWait, 1 }, { "zero", RobotZero, 0 },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int Usage(void)
{
    fputs("usage: robotctl [-n N] COMMAND        the Nth robot, from 0\n"
          "  list                               robots that are there\n"
          "  info | state | stats | stop | feed\n"
          "  watchdog MS                        0 off\n"
          "  run STEP [, STEP]...               one program; STEP is one of\n"
          "      drive MM MM/S | turn TENTHS MM/S | velocity LEFT RIGHT | tool 0|1 | light RGB | wait MS | halt | zero | nop\n"
          "  square MM                          a program of eight steps with the tool down\n"
          "  events [COUNT]                     waits for them\n"
          "  log                                what AfterThought saw\n", stderr);
    return 2;
}

static int Failed(const char *what)
{
    DWORD error = GetLastError();
    char text[256] = "";

    FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, error, 0, text, sizeof text, NULL);
    text[strcspn(text, "\r\n")] = 0;
    fprintf(stderr, "robotctl: %s: error %lu, %s\n", what, error, text);
    return 1;
}

/* The path of the Nth interface; FALSE when there are not so many. */
static BOOL FindRobot(DWORD n, char *path, size_t size)
{
    union {
        SP_DEVICE_INTERFACE_DETAIL_DATA_A Data;
        char Room[1024];
    } detail;
    SP_DEVICE_INTERFACE_DATA data;
    HDEVINFO set = SetupDiGetClassDevsA(&robots, NULL, NULL, DIGCF_PRESENT | DIGCF_DEVICEINTERFACE);
    BOOL found;

    if (set == INVALID_HANDLE_VALUE) return FALSE;
    data.cbSize = sizeof data;
    detail.Data.cbSize = sizeof detail.Data;
    found = SetupDiEnumDeviceInterfaces(set, NULL, &robots, n, &data) && SetupDiGetDeviceInterfaceDetailA(set, &data, &detail.Data, sizeof detail, NULL, NULL);
    if (found) snprintf(path, size, "%s", detail.Data.DevicePath);
    SetupDiDestroyDeviceInfoList(set);
    return found;
}

/* TRUE when the IOCTL went well and filled the whole of out. */
static BOOL Control(HANDLE robot, DWORD code, void *in, DWORD inSize, void *out, DWORD outSize)
{
    DWORD got = 0;

    if (!DeviceIoControl(robot, code, in, inSize, out, outSize, &got, NULL)) return FALSE;
    if (got == outSize) return TRUE;
    SetLastError(ERROR_INVALID_DATA);
    return FALSE;
}

static void PrintRange(const char *name, LONG range)
{
    if (range == ROBOT_NO_SENSOR) return;
    if (range == ROBOT_NO_ECHO) printf("%s: nothing in sight\n", name);
    else printf("%s: %ld mm\n", name, range);
}

static int Info(HANDLE robot)
{
    ROBOT_INFO info;

    if (!Control(robot, IOCTL_ROBOT_GET_INFO, NULL, 0, &info, sizeof info)) return Failed("info");
    printf("%.16s robot, serial %.20s, firmware %lu.%02lu\n", info.Name, info.Serial, info.VersionMajor, info.VersionMinor);
    printf("tool: %s\nrange finders: %lu\n",
        (info.Capabilities & ROBOT_HAS_GRIPPER) != 0 ? "gripper" : (info.Capabilities & ROBOT_HAS_PEN) != 0 ? "pen" : "none",
        info.Ranges);
    printf("at most: %ld mm, %ld tenths of a degree, %ld mm/s\n", info.MostDistance, info.MostAngle, info.MostSpeed);
    if (info.Messages != 0) printf("interrupts: %lu messages\n", info.Messages);
    else puts("interrupts: line");
    return 0;
}

static int State(HANDLE robot)
{
    static const char *const names[] = { "ready", "busy", "moving", "tool", "holding", "battery-low", "battery-critical", "fault", "bumped" };
    ROBOT_STATE state;
    unsigned i;

    if (!Control(robot, IOCTL_ROBOT_GET_STATE, NULL, 0, &state, sizeof state)) return Failed("state");
    printf("state:");
    for (i = 0; i < COUNT(names); i++) {
        if ((state.Flags >> i & 1) != 0) printf(" %s", names[i]);
    }
    printf("\nodometers: %ld %ld mm\nheading: %ld.%ld degrees\n", state.Left, state.Right, state.Heading / 10, state.Heading % 10);
    PrintRange("front", state.Range[0]);
    PrintRange("left", state.Range[1]);
    PrintRange("right", state.Range[2]);
    PrintRange("rear", state.Range[3]);
    printf("bumpers: %lu\nbattery: %lu %%\nwaiting programs: %lu\n", state.Bumpers, state.Battery, state.Waiting);
    return 0;
}

static int Statistics(HANDLE robot)
{
    ROBOT_STATISTICS s;

    if (!Control(robot, IOCTL_ROBOT_GET_STATISTICS, NULL, 0, &s, sizeof s)) return Failed("stats");
    printf("interrupts: %lu ours, %lu foreign; dpcs: %lu; commands: %lu; events: %lu; cancelled: %lu\n", s.Interrupts, s.Foreign, s.Dpcs, s.Commands,
        s.Events, s.Cancelled);
    return 0;
}

static BOOL Number(const char *text, LONG *value)
{
    char *end;

    *value = strtol(text, &end, 0);
    return *text != 0 && *end == 0;
}

static int Write(HANDLE robot, ROBOT_COMMAND *program, DWORD count)
{
    DWORD done = 0;

    if (count == 1) {
        ROBOT_COMPLETION completion;

        if (!Control(robot, IOCTL_ROBOT_EXECUTE, program, sizeof *program, &completion, sizeof completion)) return Failed("run");
        printf("%s, value %ld, at %lu ms\n", completion.Result < COUNT(results) ? results[completion.Result] : "unknown result", completion.Value,
            completion.Time);
        return completion.Result == RobotOk ? 0 : 1;
    }
    if (!WriteFile(robot, program, count * sizeof *program, &done, NULL)) return Failed("run");
    printf("%lu of %lu commands done\n", (ULONG)(done / sizeof *program), count);
    return done == count * sizeof *program ? 0 : 1;
}

static int Run(HANDLE robot, int argc, char **argv)
{
    ROBOT_COMMAND program[256];
    DWORD count = 0;
    int i = 0, k;

    memset(program, 0, sizeof program);
    while (i < argc) {
        if (strcmp(argv[i], ",") == 0) { i++; continue; }
        if (count == COUNT(program)) { fprintf(stderr, "robotctl: more than %u steps\n", (unsigned)COUNT(program)); return 2; }
        for (k = 0; k < (int)COUNT(commands) && strcmp(argv[i], commands[k].Name) != 0; k++) { }
        if (k == (int)COUNT(commands)) { fprintf(stderr, "robotctl: no step is called '%s'\n", argv[i]); return Usage(); }
        if (i + commands[k].Arguments >= argc
            || (commands[k].Arguments > 0 && !Number(argv[i + 1], &program[count].Argument0))
            || (commands[k].Arguments > 1 && !Number(argv[i + 2], &program[count].Argument1))) {
            fprintf(stderr, "robotctl: '%s' takes %d numbers\n", argv[i], commands[k].Arguments);
            return 2;
        }
        program[count].Opcode = commands[k].Opcode;
        program[count].Tag = count;
        count++;
        i += 1 + commands[k].Arguments;
    }
    return count == 0 ? Usage() : Write(robot, program, count);
}

static int Square(HANDLE robot, LONG side)
{
    ROBOT_COMMAND program[10];
    DWORD n;

    memset(program, 0, sizeof program);
    program[0].Opcode = program[9].Opcode = RobotTool;
    program[0].Argument0 = 1;
    for (n = 1; n < 9; n++) {
        program[n].Opcode = n % 2 == 1 ? RobotDrive : RobotTurn;
        program[n].Argument0 = n % 2 == 1 ? side : 900;
        program[n].Argument1 = 200;
        program[n].Tag = n;
    }
    return Write(robot, program, COUNT(program));
}

static int Events(HANDLE robot, LONG count)
{
    static const char *const names[] = { "?", "bump", "near", "fault", "battery", "program stopped" };
    ROBOT_EVENT event;
    DWORD got;

    while (count-- > 0) {
        if (!ReadFile(robot, &event, sizeof event, &got, NULL)) return Failed("events");
        printf("%lu: %s, value 0x%lx, tag %lu\n", event.Number, event.Type < COUNT(names) ? names[event.Type] : "?", event.Value, event.Tag);
        fflush(stdout);
    }
    return 0;
}

/* The name of a request, and what its detail says. */
static void PrintEntry(const AFTERTHOUGHT_ENTRY *entry)
{
    static const char *const majors[] = {
        "CREATE", "CREATE_NAMED_PIPE", "CLOSE", "READ", "WRITE", "QUERY_INFORMATION", "SET_INFORMATION", "QUERY_EA", "SET_EA", "FLUSH_BUFFERS",
        "QUERY_VOLUME_INFORMATION", "SET_VOLUME_INFORMATION", "DIRECTORY_CONTROL", "FILE_SYSTEM_CONTROL", "DEVICE_CONTROL", "INTERNAL_DEVICE_CONTROL",
        "SHUTDOWN", "LOCK_CONTROL", "CLEANUP", "CREATE_MAILSLOT", "QUERY_SECURITY", "SET_SECURITY", "POWER", "SYSTEM_CONTROL", "DEVICE_CHANGE",
        "QUERY_QUOTA", "SET_QUOTA", "PNP",
    };
    static const char *const pnp[] = {
        "START_DEVICE", "QUERY_REMOVE_DEVICE", "REMOVE_DEVICE", "CANCEL_REMOVE_DEVICE", "STOP_DEVICE", "QUERY_STOP_DEVICE", "CANCEL_STOP_DEVICE",
        "QUERY_DEVICE_RELATIONS", "QUERY_INTERFACE", "QUERY_CAPABILITIES", "QUERY_RESOURCES", "QUERY_RESOURCE_REQUIREMENTS", "QUERY_DEVICE_TEXT",
        "FILTER_RESOURCE_REQUIREMENTS", "14", "READ_CONFIG", "WRITE_CONFIG", "EJECT", "SET_LOCK", "QUERY_ID", "QUERY_PNP_DEVICE_STATE",
        "QUERY_BUS_INFORMATION", "DEVICE_USAGE_NOTIFICATION", "SURPRISE_REMOVAL",
    };
    static const char *const power[] = { "WAIT_WAKE", "POWER_SEQUENCE", "SET_POWER", "QUERY_POWER" };
    const char *major = entry->MajorFunction < COUNT(majors) ? majors[entry->MajorFunction] : "?";

    printf("%5lu device %lu irql %u status %08lx %s", entry->Number, entry->Device, entry->Irql, (ULONG)entry->Status, major);
    if (strcmp(major, "PNP") == 0 && entry->MinorFunction < COUNT(pnp)) printf(" %s", pnp[entry->MinorFunction]);
    else if (strcmp(major, "POWER") == 0 && entry->MinorFunction < COUNT(power)) printf(" %s", power[entry->MinorFunction]);
    else if (entry->MinorFunction != 0) printf(" minor %u", entry->MinorFunction);
    /* SYSTEM_POWER_STATE and DEVICE_POWER_STATE count from 1, S0 and D0. */
    if (strcmp(major, "POWER") == 0 && entry->MinorFunction >= 2) printf(" %c%ld", entry->Detail >> 16 == 0 ? 'S' : 'D', (LONG)(entry->Detail & 0xffff) - 1);
    else if (strcmp(major, "READ") == 0 || strcmp(major, "WRITE") == 0) printf(" %lu bytes", entry->Detail);
    else if (entry->Detail != 0) printf(" code %08lx", entry->Detail);
    putchar('\n');
}

static int Log(void)
{
    AFTERTHOUGHT_ENTRY entries[64];
    HANDLE filter = CreateFileA("\\\\.\\AfterThought", GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    DWORD got = sizeof entries, i;

    if (filter == INVALID_HANDLE_VALUE) return Failed("AfterThought");
    while (got == sizeof entries) {
        if (!DeviceIoControl(filter, IOCTL_AFTERTHOUGHT_READ_LOG, NULL, 0, entries, sizeof entries, &got, NULL)) {
            int code = Failed("log");

            CloseHandle(filter);
            return code;
        }
        for (i = 0; i < got / sizeof entries[0]; i++) PrintEntry(&entries[i]);
    }
    CloseHandle(filter);
    return 0;
}

int main(int argc, char **argv)
{
    char path[1024];
    HANDLE robot;
    LONG n = 0, value = 0;
    int code;

    if (argc > 2 && strcmp(argv[1], "-n") == 0) {
        if (!Number(argv[2], &n) || n < 0) return Usage();
        argc -= 2;
        argv += 2;
    }
    if (argc < 2) return Usage();
    if (strcmp(argv[1], "log") == 0) return Log();
    if (strcmp(argv[1], "list") == 0) {
        for (n = 0; FindRobot((DWORD)n, path, sizeof path); n++) printf("%ld %s\n", n, path);
        if (n == 0) fputs("robotctl: there is no robot\n", stderr);
        return n == 0 ? 1 : 0;
    }
    if (!FindRobot((DWORD)n, path, sizeof path)) {
        fprintf(stderr, "robotctl: there is no robot %ld; is its driver installed and started?\n", n);
        return 1;
    }
    robot = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    if (robot == INVALID_HANDLE_VALUE) return Failed(path);
    if (strcmp(argv[1], "info") == 0) code = Info(robot);
    else if (strcmp(argv[1], "state") == 0) code = State(robot);
    else if (strcmp(argv[1], "stats") == 0) code = Statistics(robot);
    else if (strcmp(argv[1], "stop") == 0) code = Control(robot, IOCTL_ROBOT_STOP, NULL, 0, NULL, 0) ? 0 : Failed("stop");
    else if (strcmp(argv[1], "feed") == 0) code = Control(robot, IOCTL_ROBOT_FEED_WATCHDOG, NULL, 0, NULL, 0) ? 0 : Failed("feed");
    else if (strcmp(argv[1], "watchdog") == 0 && argc == 3 && Number(argv[2], &value))
        code = Control(robot, IOCTL_ROBOT_SET_WATCHDOG, &value, sizeof value, NULL, 0) ? 0 : Failed("watchdog");
    else if (strcmp(argv[1], "run") == 0) code = Run(robot, argc - 2, argv + 2);
    else if (strcmp(argv[1], "square") == 0 && argc == 3 && Number(argv[2], &value)) code = Square(robot, value);
    else if (strcmp(argv[1], "events") == 0 && (argc == 2 || Number(argv[2], &value))) code = Events(robot, argc == 2 ? MAXLONG : value);
    else code = Usage();
    CloseHandle(robot);
    return code;
}
