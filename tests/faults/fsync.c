/* Makes every fsync and fdatasync of a process fail while the file named by FSYNC_FAILS exists. */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failing(void) {
    const char *flag = getenv("FSYNC_FAILS");
    if (flag == NULL || access(flag, F_OK) != 0) return 0;
    errno = EIO;
    return 1;
}

int fsync(int fd) { return failing() ? -1 : (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return failing() ? -1 : (int)syscall(SYS_fdatasync, fd); }
