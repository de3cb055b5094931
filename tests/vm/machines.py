"""The machines that QEMU is for the guests, one for each architecture."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Machine:
    architecture: str  # in Debian's words
    qemu: tuple
    console: str
    kernel_package: str
    modules: tuple = ()  # what this kernel has not built in, besides those of every guest
    debootstrap: tuple = ()  # for a machine that this one is not
    # Whether its memory can be taken away. Else a case that does so gets what devices and kernel make of 512 MiB more.
    memory_goes: bool = True
    # Whether its firmware puts it to sleep and QEMU wakes it. Else the kernel waits for its clock.
    firmware_sleeps: bool = True


AMD64 = Machine("amd64", ("qemu-system-x86_64", "-machine", "pc", "-cpu", "max"), "ttyS0", "linux-image-cloud-amd64")
# Pointers are signed by what QEMU is quick at: the architecture's own algorithm, without a processor for it, takes a third of the time.
ARM64 = Machine("arm64", ("qemu-system-aarch64", "-machine", "virt", "-cpu", "max,pauth-impdef=on"), "ttyAMA0", "linux-image-arm64",
                ("crc32c_generic", "ext4", "virtio_mem"), ("--foreign", "--arch=arm64"), memory_goes=False, firmware_sleeps=False)
