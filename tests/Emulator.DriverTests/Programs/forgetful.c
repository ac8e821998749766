/* The same, which leaves its symbolic link behind. */
#define FORGETFUL
#include "legacy.c"
