/* Whole functions for the interpreter: built for this machine, as PE32+ and as PE32, they have to give the same results.
   No headers, no library: everything a compiler may call is here. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed long long s64;
typedef signed int s32;
typedef __SIZE_TYPE__ size;

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
#define APART __attribute__((noinline))

void *memcpy(void *to, const void *from, size n)
{
    u8 *a = to;
    const u8 *b = from;
    while (n--) *a++ = *b++;
    return to;
}

void *memset(void *to, int value, size n)
{
    u8 *a = to;
    while (n--) *a++ = (u8)value;
    return to;
}

void *memmove(void *to, const void *from, size n)
{
    u8 *a = to;
    const u8 *b = from;
    if (a < b) { while (n--) *a++ = *b++; }
    else { while (n--) a[n] = b[n]; }
    return to;
}

int memcmp(const void *x, const void *y, size n)
{
    const u8 *a = x, *b = y;
    for (; n--; a++, b++) if (*a != *b) return *a < *b ? -1 : 1;
    return 0;
}

/* -- CRC-32, table made at run time -- */
static u32 crc_table[256];

static APART void crc_init(void)
{
    for (u32 i = 0; i < 256; i++) {
        u32 c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
        crc_table[i] = c;
    }
}

static APART u64 crc32(const u8 *p, u32 n)
{
    u32 c = 0xFFFFFFFFu;
    crc_init();
    while (n--) c = crc_table[(c ^ *p++) & 0xFF] ^ (c >> 8);
    return ~c;
}

/* -- quicksort with a comparison through a pointer -- */
static int up(u32 a, u32 b) { return a < b ? -1 : a > b; }
static int down_signed(u32 a, u32 b) { return (s32)a > (s32)b ? -1 : (s32)a < (s32)b; }

static APART void quicksort(u32 *v, s32 low, s32 high, int (*compare)(u32, u32))
{
    while (low < high) {
        u32 pivot = v[(low + high) >> 1];
        s32 i = low, j = high;
        while (i <= j) {
            while (compare(v[i], pivot) < 0) i++;
            while (compare(v[j], pivot) > 0) j--;
            if (i <= j) { u32 t = v[i]; v[i++] = v[j]; v[j--] = t; }
        }
        if (j - low < high - i) { quicksort(v, low, j, compare); low = i; }
        else { quicksort(v, i, high, compare); high = j; }
    }
}

/* -- SHA-256 -- */
static const u32 sha_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

#define ROR(x, n) (((x) >> (n)) | ((x) << (32 - (n))))

static APART void sha_block(u32 h[8], const u8 *p)
{
    u32 w[64], s[8];
    for (int i = 0; i < 16; i++) w[i] = (u32)p[4 * i] << 24 | (u32)p[4 * i + 1] << 16 | (u32)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        u32 a = ROR(w[i - 15], 7) ^ ROR(w[i - 15], 18) ^ (w[i - 15] >> 3);
        u32 b = ROR(w[i - 2], 17) ^ ROR(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    for (int i = 0; i < 8; i++) s[i] = h[i];
    for (int i = 0; i < 64; i++) {
        u32 e = s[4], a = s[0];
        u32 t1 = s[7] + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + sha_k[i] + w[i];
        u32 t2 = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        s[7] = s[6]; s[6] = s[5]; s[5] = s[4]; s[4] = s[3] + t1;
        s[3] = s[2]; s[2] = s[1]; s[1] = s[0]; s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
}

static APART u64 sha256(u8 *p, u32 n)
{
    u32 h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    u8 last[128];
    u32 i = 0, tail;
    for (; i + 64 <= n; i += 64) sha_block(h, p + i);
    memset(last, 0, sizeof last);
    memcpy(last, p + i, n - i);
    last[n - i] = 0x80;
    tail = n - i < 56 ? 64 : 128;
    for (int k = 0; k < 8; k++) last[tail - 1 - k] = (u8)((u64)n * 8 >> (8 * k));
    sha_block(h, last);
    if (tail == 128) sha_block(h, last + 64);
    for (int k = 0; k < 8 && 4u * k + 4 <= n; k++) memcpy(p + 4 * k, &h[k], 4);
    return (u64)h[0] << 32 | h[7];
}

/* -- 64-bit arithmetic: calls into libgcc on x86 -- */
static APART u64 divide(const u8 *p, u32 n, u64 seed)
{
    u64 sum = seed;
    for (u32 i = 0; i + 16 <= n; i += 8) {
        u64 a, b;
        memcpy(&a, p + i, 8);
        memcpy(&b, p + i + 8, 8);
        b >>= a & 63;
        if (b == 0) b = 3;
        sum += a / b;
        sum ^= a % b;
        if ((s64)b != -1) sum -= (u64)((s64)a / (s64)b) + (u64)((s64)a % (s64)b);
        sum += (u32)a / ((u32)b | 1) + (u64)((s32)(a >> 32) / (s32)(((u32)b & 0xFFFF) | 1));
        sum = sum * 6364136223846793005ull + (a << (b & 63)) + (u64)((s64)b >> (a & 63));
    }
    return sum;
}

/* -- bits -- */
static APART u64 bits(const u8 *p, u32 n, u64 seed)
{
    u64 sum = seed;
    for (u32 i = 0; i + 8 <= n; i++) {
        u64 a;
        u32 b;
        memcpy(&a, p + i, 8);
        b = (u32)(a >> 13);
        sum += (u64)__builtin_popcountll(a) + (b ? (u32)__builtin_ctz(b) * 3 + (u32)__builtin_clz(b) * 5 : 7);
        if (a) sum ^= (u64)__builtin_ctzll(a) << (__builtin_clzll(a) & 31);
        sum = sum << 7 | sum >> 57;
        sum += __builtin_bswap64(a) ^ __builtin_bswap32(b);
        if (b >> (a & 31) & 1) sum ^= 1ull << (b & 63);
        sum -= (u16)(b << (a & 15) | b >> (16 - (a & 15)));
        sum += __builtin_parity(b);
        sum = (sum & ~(0xFFull << (i & 48))) | (u64)(u8)(sum >> 3) << (i & 48);
    }
    return sum;
}

/* -- structures copied, passed and returned by value -- */
struct reading { u8 kind; u16 angle; u32 distance; u64 stamp; s32 history[11]; char name[20]; };

static APART struct reading mix(struct reading a, const struct reading *b)
{
    struct reading r = a;
    r.kind ^= b->kind;
    r.angle = (u16)(a.angle * 3 + b->angle);
    r.stamp -= b->stamp;
    for (int i = 0; i < 11; i++) r.history[i] = a.history[10 - i] - b->history[i];
    r.name[3] = b->name[a.kind % 20];
    return r;
}

static APART u64 structures(u8 *p, u32 n, u64 seed)
{
    struct reading ring[4];
    u64 sum = seed;
    memset(ring, 0x5A, sizeof ring);
    for (u32 i = 0; i + sizeof(struct reading) <= n; i += 24) {
        struct reading now;
        memcpy(&now, p + i, sizeof now);
        ring[i / 24 % 4] = mix(now, &ring[(i / 24 + 1) % 4]);
        ring[(i / 24 + 2) % 4] = ring[i / 24 % 4];
        sum = sum * 31 + ring[(i / 24 + 2) % 4].stamp + (u32)ring[i / 24 % 4].history[i % 11] + ring[i / 24 % 4].angle;
    }
    for (u32 k = 0; k < 4; k++) sum += crc32((u8 *)&ring[k].history, sizeof ring[k].history + sizeof ring[k].name);
    return sum;
}

/* -- strings, a switch, a state machine -- */
static APART u32 length(const char *s) { const char *e = s; while (*e) e++; return (u32)(e - s); }

static APART u64 strings(u8 *p, u32 n, u64 seed)
{
    char text[64];
    u64 sum = seed;
    u32 state = 0, words = 0;
    for (u32 i = 0; i < n; i++) {
        u8 c = p[i];
        switch (state) {
        case 0: if (c >= 'a' && c <= 'z') { state = 1; words++; } else if (c < 32) state = 2; break;
        case 1: state = c == ' ' ? 0 : c >= 128 ? 3 : 1; break;
        case 2: state = c & 1 ? 0 : 2; break;
        case 3: sum ^= c; state = 4; break;
        case 4: sum += (u64)c << 8; state = c < 64 ? 5 : 0; break;
        case 5: sum -= words; state = c % 6; break;
        default: state = 0;
        }
        text[i % 63] = (char)(c | 1);
        text[i % 63 + 1] = 0;
        sum = sum * 33 + length(text) + state;
    }
    {
        char digits[24];
        u64 v = sum;
        int k = 0;
        do { digits[k++] = (char)('0' + v % 10); v /= 10; } while (v);
        digits[k] = 0;
        for (int a = 0, b = k - 1; a < b; a++, b--) { char t = digits[a]; digits[a] = digits[b]; digits[b] = t; }
        sum ^= crc32((u8 *)digits, length(digits));
    }
    return sum;
}

/* -- loops that a compiler vectorises at -O3 -- */
static APART u64 vectors(u8 *p, u32 n, u64 seed)
{
    u16 w[128];
    s32 d[128];
    u64 sum = seed;
    if (n < 256) return seed;
    memcpy(w, p, 256);
    for (int i = 0; i < 128; i++) d[i] = (s32)w[i] * 3 - (s32)w[127 - i];
    for (int i = 0; i < 128; i++) w[i] = (u16)(w[i] > 0x7000 ? w[i] - 0x100 : w[i] << 2);
    for (int i = 0; i < 128; i++) d[i] = d[i] < 0 ? -d[i] : d[i] ^ (s32)w[i];
    for (int i = 0; i < 128; i++) sum += (u64)(s64)d[i] * (i & 3);
    for (int i = 0; i < 256; i++) p[i] = (u8)((p[i] + (u8)d[i & 127]) >> 1);
    for (int i = 0; i < 128; i++) sum += w[i];
    return sum;
}

/* -- recursion and tables of functions -- */
static APART u32 ackermann(u32 m, u32 n) { return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1)); }

/* -- atomics, as reference counts and queues use them -- */
static APART u64 atomics(u64 seed)
{
    static u32 count;
    static u64 wide;
    u32 expected = 5;
    u64 wide_expected = seed;
    count = 5;
    wide = seed;
    u64 sum = __atomic_fetch_add(&count, 7, __ATOMIC_SEQ_CST);
    sum += __atomic_sub_fetch(&count, 3, __ATOMIC_SEQ_CST);
    sum += (u64)__atomic_compare_exchange_n(&count, &expected, 99, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) + expected;
    sum += (u64)__sync_bool_compare_and_swap(&wide, wide_expected, seed ^ 0x1234567890ull);
    sum += (u64)__sync_bool_compare_and_swap(&wide, wide_expected, 1);
    sum += __atomic_exchange_n(&count, 1000, __ATOMIC_SEQ_CST);
    sum ^= __atomic_fetch_or(&count, 0x10, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return sum * 17 + wide + count;
}

/* Runs one of the functions over a buffer, which it may change. */
EXPORT u64 run_function(u32 which, u8 *buffer, u32 n, u32 seed_low, u32 seed_high)
{
    u64 seed = (u64)seed_high << 32 | seed_low;
    switch (which) {
    case 0: return crc32(buffer, n);
    case 1: quicksort((u32 *)buffer, 0, (s32)(n / 4) - 1, up); return crc32(buffer, n);
    case 2: quicksort((u32 *)buffer, 0, (s32)(n / 4) - 1, down_signed); return crc32(buffer, n);
    case 3: return sha256(buffer, n);
    case 4: return divide(buffer, n, seed);
    case 5: return bits(buffer, n, seed);
    case 6: return structures(buffer, n, seed);
    case 7: return strings(buffer, n, seed);
    case 8: return vectors(buffer, n, seed);
    case 9: return ackermann(2, (u32)seed % 40);
    case 10: return atomics(seed);
    case 11: memmove(buffer + 3, buffer, n - 3); memmove(buffer, buffer + 5, n - 5); return (u32)memcmp(buffer, buffer + n / 2, n / 2);
    default: return 0;
    }
}

int entry(void) { return 0; }
