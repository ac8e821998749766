/* framework.c and its parts. VARIANT says in which way it is another driver. */
#ifndef FRAMEWORK_H
#define FRAMEWORK_H

#include <wdfsubset.h>

#define PLAIN 0
#define TOO_NEW 1 /* these cannot be bound or created */
#define WRONG_SIZE 2
#define WRONG_COUNT 3
#define WRONG_LIBRARY 4
#define WRONG_CONFIG 5
#define NOT_UNBOUND 6
#define CLASS_EXTENSION 7
#define OLD 8 /* built for 1.9 */
#define FILTER 9
#define SERIALIZED 10 /* one callback of the device at a time */
#define PASSIVE 11 /* and that at PASSIVE_LEVEL */
#define DMA 12 /* with a DMA enabler that has callbacks */
#define FILES 13 /* with file objects */
#define FILTER_FILES 14

/* For what answers the line of the first that does not hold. */
#define EXPECT(condition) do { if (!(condition)) return __LINE__; } while (0)

EVT_WDF_DRIVER_DEVICE_ADD DeviceAdd;

/* framework-functions.c */
ULONG Check(WDFDEVICE device, WDFQUEUE queue, WDFQUEUE manual, WDFINTERRUPT interrupt, WDFREQUEST request);
void Change(ULONG number, WDFDEVICE device, WDFQUEUE queue, WDFQUEUE manual);

/* framework-dma.c */
ULONG CheckDma(WDFDEVICE device, const WDF_OBJECT_ATTRIBUTES *first, const WDF_OBJECT_ATTRIBUTES *second);
NTSTATUS CreateDma(WDFDEVICE device, WDF_DMA_ENABLER_CONFIG *config, WDF_OBJECT_ATTRIBUTES *attributes, WDFDMAENABLER *enabler);

/* framework-deferred.c */
NTSTATUS Deferred(ULONG number, WDFDEVICE device, PULONG out);

/* framework-files.c */
void WantFiles(PWDFDEVICE_INIT init);
NTSTATUS Files(ULONG number, WDFDEVICE device, WDFREQUEST request, PULONG out);

#endif
