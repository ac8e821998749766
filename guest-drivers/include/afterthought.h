/* The log of AfterThought.sys, read through \\.\AfterThought. Include <windows.h> and <winioctl.h>, or <ntddk.h>, first. */
#ifndef AFTERTHOUGHT_H
#define AFTERTHOUGHT_H

/* Out: as many AFTERTHOUGHT_ENTRY as fit, oldest first; they leave the log. */
#define IOCTL_AFTERTHOUGHT_READ_LOG CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900, METHOD_BUFFERED, FILE_READ_ACCESS)

typedef struct _AFTERTHOUGHT_ENTRY {
    ULONG Number; /* counts from 1; a gap tells how many were lost */
    ULONG Device; /* the filter's devices, from 1 */
    UCHAR MajorFunction;
    UCHAR MinorFunction;
    UCHAR Irql; /* of the sender */
    UCHAR Reserved;
    ULONG Detail; /* IOCTL code; length of a read or write; type << 16 | state of a power request */
    LONG Status; /* what the driver below returned, which may be STATUS_PENDING */
} AFTERTHOUGHT_ENTRY, *PAFTERTHOUGHT_ENTRY;

#endif
