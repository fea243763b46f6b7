/* System calls that a function must not have, and what they say: the one table for the
 * probe, which makes them, and for the test, which compares. */
#ifndef TESTS_INTEGRATION_PROBE_CALLS_H
#define TESTS_INTEGRATION_PROBE_CALLS_H

/* X(name, errno). EPERM: refused by name. ENOSYS: as on a kernel that has not got it, so
 * that libraries fall back. */
#define PROBE_CALLS(X)           \
    X(acct, EPERM)               \
    X(add_key, EPERM)            \
    X(adjtimex, EPERM)           \
    X(bpf, EPERM)                \
    X(chroot, EPERM)             \
    X(clock_adjtime, EPERM)      \
    X(clock_settime, EPERM)      \
    X(clone3, ENOSYS)            \
    X(delete_module, EPERM)      \
    X(fanotify_init, EPERM)      \
    X(fanotify_mark, ENOSYS)     \
    X(finit_module, EPERM)       \
    X(fsconfig, EPERM)           \
    X(fsmount, EPERM)            \
    X(fsopen, EPERM)             \
    X(fspick, EPERM)             \
    X(init_module, EPERM)        \
    X(io_cancel, ENOSYS)         \
    X(io_destroy, ENOSYS)        \
    X(io_getevents, ENOSYS)      \
    X(io_setup, ENOSYS)          \
    X(io_submit, ENOSYS)         \
    X(io_uring_enter, ENOSYS)    \
    X(io_uring_register, ENOSYS) \
    X(io_uring_setup, ENOSYS)    \
    X(kcmp, EPERM)               \
    X(kexec_file_load, EPERM)    \
    X(kexec_load, EPERM)         \
    X(keyctl, EPERM)             \
    X(lookup_dcookie, EPERM)     \
    X(mbind, EPERM)              \
    X(memfd_secret, ENOSYS)      \
    X(migrate_pages, EPERM)      \
    X(mount, EPERM)              \
    X(mount_setattr, EPERM)      \
    X(move_mount, EPERM)         \
    X(move_pages, EPERM)         \
    X(name_to_handle_at, EPERM)  \
    X(open_by_handle_at, EPERM)  \
    X(open_tree, EPERM)          \
    X(perf_event_open, EPERM)    \
    X(personality, ENOSYS)       \
    X(pidfd_getfd, EPERM)        \
    X(pivot_root, EPERM)         \
    X(process_madvise, EPERM)    \
    X(process_vm_readv, EPERM)   \
    X(process_vm_writev, EPERM)  \
    X(ptrace, EPERM)             \
    X(quotactl, EPERM)           \
    X(quotactl_fd, EPERM)        \
    X(reboot, EPERM)             \
    X(request_key, EPERM)        \
    X(set_mempolicy, EPERM)      \
    X(setdomainname, EPERM)      \
    X(sethostname, EPERM)        \
    X(setns, EPERM)              \
    X(settimeofday, EPERM)       \
    X(swapoff, EPERM)            \
    X(swapon, EPERM)             \
    X(syslog, EPERM)             \
    X(umount2, EPERM)            \
    X(unshare, EPERM)            \
    X(userfaultfd, EPERM)        \
    X(vhangup, EPERM)

#ifdef __x86_64__
#define PROBE_CALLS_HERE(X)  \
    X(create_module, ENOSYS) \
    X(ioperm, EPERM)         \
    X(iopl, EPERM)           \
    X(modify_ldt, EPERM)     \
    X(nfsservctl, EPERM)     \
    X(uselib, EPERM)         \
    X(ustat, EPERM)
#else
#define PROBE_CALLS_HERE(X)
#endif

#endif /* TESTS_INTEGRATION_PROBE_CALLS_H */
