/* A driver that does not come back from its DriverEntry. */
__attribute__((section("INIT"))) unsigned entry(void *driver, void *path)
{
    (void)driver;
    (void)path;
    for (;;) __asm__ volatile ("");
}
