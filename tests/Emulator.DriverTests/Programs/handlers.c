/*
 * Structured exception handling as Visual C compiles it: clang makes the same tables, but cannot use mingw's headers in that mode. Each test
 * gives back the line of the first wrong answer, or 0. What is volatile is so because a compiler may move other accesses across __try.
 */
typedef unsigned int u32;
typedef unsigned char u8;
typedef __SIZE_TYPE__ uptr;
#if defined(__i386__)
#define NTAPI __stdcall
#else
#define NTAPI
#endif
#define IMPORT __declspec(dllimport)

typedef struct record {
    u32 code, flags;
    struct record *next;
    void *address;
    u32 count;
    uptr information[15];
} record;
typedef struct {
    record *record;
    void *context;
} pointers;

IMPORT void NTAPI ExRaiseStatus(u32 status);
IMPORT void NTAPI ExRaiseAccessViolation(void);
IMPORT void NTAPI RtlRaiseException(record *what);
IMPORT void NTAPI ProbeForRead(const volatile void *at, uptr length, u32 alignment);
IMPORT void NTAPI ProbeForWrite(volatile void *at, uptr length, u32 alignment);
IMPORT void *memcpy(void *to, const void *from, uptr length);
IMPORT u8 NTAPI MmIsAddressValid(void *at);

#define CHECK(right) do { if (!(right)) return __LINE__; } while (0)
#define BAD ((volatile u32 *)0x1230)
#define ACCESS_VIOLATION 0xC0000005u

static volatile u32 seen, order;
static volatile uptr place, way;
static void *volatile nowhere;

static int note(u32 code, pointers *at, int verdict)
{
    seen = code;
    place = at->record->information[1];
    way = at->record->information[0];
    return verdict;
}

static void step(u32 number) { order = order * 10 + number; }

/* clang takes only calls for what may raise an exception. */
__attribute__((noinline)) void poke(volatile u32 *at) { *at = 1; }
static __attribute__((noinline)) u32 peek(volatile u32 *at) { return *at; }
static __attribute__((noinline)) void undefined(void) { __asm__ volatile("ud2"); }
static __attribute__((noinline)) void breakpoint(void) { __asm__ volatile("int3"); }
static __attribute__((noinline)) void read_register(void) { __asm__ volatile("rdmsr" : : "c"(0x12345678) : "eax", "edx"); }

static int access_violations(void)
{
    seen = 0;
    __try {
        poke(BAD);
        return __LINE__;
    } __except (note(_exception_code(), _exception_info(), 1)) {
        CHECK(seen == ACCESS_VIOLATION && place == 0x1230 && way == 1);
    }
    __try {
        seen = peek(BAD);
        return __LINE__;
    } __except (note(_exception_code(), _exception_info(), 1)) {
        CHECK(_exception_code() == ACCESS_VIOLATION && place == 0x1230 && way == 0);
    }
    __try {
        ((void (*)(void))nowhere)();
        return __LINE__;
    } __except (note(_exception_code(), _exception_info(), 1)) {
        CHECK(seen == ACCESS_VIOLATION && place == 0 && way == 8);
    }
    return 0;
}

static __attribute__((noinline)) void deepest(volatile u32 *at)
{
    __try {
        step(1);
        poke(at);
        step(9);
    } __finally {
        step(_abnormal_termination() ? 2 : 8);
    }
}

static __attribute__((noinline)) u32 deep(volatile u32 *at, u32 a, u32 b, u32 c)
{
    volatile u32 room[100];

    room[a & 63] = b;
    deepest(at);
    return room[a & 63] + c;
}

static int unwinding(u32 a, u32 b)
{
    u32 kept = a * 3, sum = a + b, product = a * b, d = a ^ b, e = a | b;

    order = 0;
    __try {
        __try {
            deep(BAD, a, b, kept);
        } __finally {
            step(3);
        }
    } __except (note(_exception_code(), _exception_info(), 1)) {
        step(4);
    }
    CHECK(order == 1234);
    CHECK(kept == a * 3 && sum == a + b && product == a * b && d == (a ^ b) && e == (a | b));
    order = 0;
    CHECK(deep((volatile u32 *)&seen, 1, 2, 3) == 5);
    CHECK(order == 198);
    return 0;
}

static int refusing(void)
{
    record continuable = {0x20000001, 0, 0, 0, 2, {7, 8}};

    order = 0;
    __try {
        __try {
            poke(BAD);
        } __except (step(1), 0) {
            step(9);
        }
    } __except (step(2), note(_exception_code(), _exception_info(), 1)) {
        step(3);
    }
    CHECK(order == 123 && seen == ACCESS_VIOLATION);
    seen = 0;
    __try {
        RtlRaiseException(&continuable);
        step(4);
    } __except (note(_exception_code(), _exception_info(), -1)) {
        return __LINE__;
    }
    CHECK(order == 1234 && seen == 0x20000001 && way == 7 && place == 8);
    return 0;
}

static __attribute__((noinline)) int divide(volatile int *a, volatile int *b) { return *a / *b; }

static int arithmetic(void)
{
    volatile int a = 1, b = 0;

    seen = 0;
    __try {
        seen = (u32)divide(&a, &b);
        return __LINE__;
    } __except (note(_exception_code(), _exception_info(), 1)) {
    }
    CHECK(seen == 0xC0000094);
    a = -0x7FFFFFFF - 1;
    b = -1;
    __try {
        seen = (u32)divide(&a, &b);
        return __LINE__;
    } __except (note(_exception_code(), _exception_info(), 1)) {
    }
    CHECK(seen == 0xC0000095);
    __try {
        undefined();
    } __except (note(_exception_code(), _exception_info(), 1)) {
    }
    CHECK(seen == 0xC000001D);
    __try {
        breakpoint();
    } __except (note(_exception_code(), _exception_info(), 1)) {
    }
    CHECK(seen == 0x80000003);
    __try {
        read_register();
    } __except (note(_exception_code(), _exception_info(), 1)) {
    }
    CHECK(seen == ACCESS_VIOLATION);
    return 0;
}

static int raising(void)
{
    __try {
        ExRaiseStatus(0xC0000022);
        return __LINE__;
    } __except (note(_exception_code(), _exception_info(), 1)) {
        CHECK(_exception_code() == 0xC0000022);
    }
    seen = 0;
    __try {
        ExRaiseAccessViolation();
    } __except (note(_exception_code(), _exception_info(), 1)) {
    }
    CHECK(seen == ACCESS_VIOLATION);
    return 0;
}

static __attribute__((noinline)) u32 probe(void *at, uptr length, u32 alignment, int write)
{
    __try {
        if (write) ProbeForWrite(at, length, alignment);
        else ProbeForRead(at, length, alignment);
    } __except (1) {
        return _exception_code();
    }
    return 0;
}

static int probing(void *good, uptr length)
{
    CHECK(MmIsAddressValid(good) && !MmIsAddressValid((void *)BAD));
    CHECK(probe(good, length, 1, 0) == 0 && probe(good, length, 1, 1) == 0);
    CHECK(probe((u8 *)good + length - 1, 0x4000, 1, 1) == ACCESS_VIOLATION);
    CHECK(probe((void *)0x1001, 4, 4, 0) == 0x80000002u);
    CHECK(probe((void *)0x1001, 0, 4, 0) == 0);
    CHECK(probe((void *)&seen, 4, 4, 0) == ACCESS_VIOLATION);
    CHECK(probe((void *)8, (uptr)-4, 4, 0) == ACCESS_VIOLATION);
    CHECK(probe((void *)BAD, 4, 4, 0) == 0 && probe((void *)BAD, 4, 4, 1) == ACCESS_VIOLATION);
    return 0;
}

static int copying(void *good)
{
    u32 word = 0x11223344, back = 0;

    memcpy(good, &word, 4);
    memcpy(&back, good, 4);
    CHECK(back == word);
    __try {
        memcpy(&back, (void *)BAD, 4);
        return __LINE__;
    } __except (note(_exception_code(), _exception_info(), 1)) {
    }
    CHECK(seen == ACCESS_VIOLATION && way == 0 && place == 0x1230 && back == word);
    return 0;
}

static __attribute__((noinline)) int leaving(int early)
{
    __try {
        step(1);
        if (early) return 5;
        step(2);
    } __finally {
        step(3);
    }
    return 6;
}

static int early(void)
{
    order = 0;
    CHECK(leaving(0) == 6 && order == 123);
    order = 0;
    CHECK(leaving(1) == 5 && order == 13);
    return 0;
}

static __attribute__((noinline)) u32 careful(volatile u32 *at)
{
    __try {
        return peek(at);
    } __except (1) {
        return 77;
    }
}

static int nested(void)
{
    int i;

    order = 0;
    __try {
        __try {
            poke(BAD);
        } __except (careful(BAD) == 77 ? 1 : 0) {
            step(1);
            poke(BAD + 1);
        }
    } __except (careful(BAD) == 77 ? 1 : 0) {
        step(2);
    }
    CHECK(order == 12);
    __try {
        __try {
            poke(BAD);
        } __finally {
            if (careful(BAD) == 77) step(3);
        }
    } __except (1) {
        step(4);
    }
    CHECK(order == 1234);
    for (i = 0; i < 1000; i++) CHECK(careful(BAD) == 77);
    /* What was handled on this stack before has no part in unwinding now. */
    order = 0;
    __try {
        deep(BAD, 1, 2, 3);
    } __except (1) {
        step(4);
    }
    CHECK(order == 124);
    return 0;
}

/* Each of these ends the machine. */
__attribute__((noinline)) int fatal(int which, volatile u32 *system)
{
    __try {
        if (which == 0) poke(BAD);
        else if (which == 1) poke(system);
        else ExRaiseStatus(0xC0000022);
    } __except (which == 1) {
        return 0;
    }
    return 0;
}

int handle(int what, void *good, uptr length, void *system)
{
    switch (what) {
    case 1: return access_violations();
    case 2: return unwinding(what + 3, what + 4);
    case 3: return refusing();
    case 4: return arithmetic();
    case 5: return raising();
    case 6: return probing(good, length);
    case 7: return copying(good);
    case 8: return early();
    case 9: return nested();
    case 20: return fatal(0, system);
    case 21: return fatal(1, system);
    case 22: return fatal(2, system);
    case 23: return fatal(0, system);
    }
    return __LINE__;
}
