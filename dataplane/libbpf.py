"""The part of libbpf that we use, by ctypes.

A kernel object stays while a Descriptor of it is held, while it is pinned under a bpffs directory, or while it is
attached. Calls act in the network namespace of the thread.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import os
import struct
from collections.abc import Collection, Iterator, Mapping
from enum import IntEnum
from pathlib import Path

BPF_XDP = 37  # attach type of XDP links
LOG_BYTES = 1 << 20

FILTER_HANDLE = 1  # of our clsact filters, one per direction
FILTER_PRIORITY = 1


class BpfError(OSError):
    """The kernel or libbpf refused: `errno` as usual; a program's verifier log is in the text."""


class Direction(IntEnum):
    """Of a clsact filter, as the machine sees the link: what a guest sends comes in."""

    INGRESS = 1
    EGRESS = 2


class _Hook(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("ifindex", ctypes.c_int),
        ("attach_point", ctypes.c_int),
        ("parent", ctypes.c_uint32),
    )


class _Filter(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("prog_fd", ctypes.c_int),
        ("flags", ctypes.c_uint32),
        ("prog_id", ctypes.c_uint32),
        ("handle", ctypes.c_uint32),
        ("priority", ctypes.c_uint32),
    )


class _LinkOptions(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("flags", ctypes.c_uint32),
        ("iter_info", ctypes.c_void_p),
        ("iter_info_len", ctypes.c_uint32),
        ("target_btf_id", ctypes.c_uint32),
    )


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libbpf.so.1", use_errno=True)
    pointer, integer, text, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t
    for name, result, arguments in (
        ("libbpf_set_print", pointer, (pointer,)),
        ("bpf_object__open_file", pointer, (text, pointer)),
        ("bpf_object__load", integer, (pointer,)),
        ("bpf_object__close", None, (pointer,)),
        ("bpf_object__find_program_by_name", pointer, (pointer, text)),
        ("bpf_object__find_map_by_name", pointer, (pointer, text)),
        ("bpf_object__next_program", pointer, (pointer, pointer)),
        ("bpf_object__next_map", pointer, (pointer, pointer)),
        ("bpf_map__name", text, (pointer,)),
        ("bpf_map__is_internal", ctypes.c_bool, (pointer,)),
        ("bpf_program__fd", integer, (pointer,)),
        ("bpf_program__set_log_buf", integer, (pointer, pointer, size)),
        ("bpf_map__fd", integer, (pointer,)),
        ("bpf_map__set_pin_path", integer, (pointer, text)),
        ("bpf_map__max_entries", ctypes.c_uint32, (pointer,)),
        ("bpf_map__set_max_entries", integer, (pointer, ctypes.c_uint32)),
        ("bpf_map_lookup_elem", integer, (integer, text, pointer)),
        ("bpf_map_update_elem", integer, (integer, text, text, ctypes.c_uint64)),
        ("bpf_map_delete_elem", integer, (integer, text)),
        ("bpf_map_get_next_key", integer, (integer, text, pointer)),
        ("bpf_obj_pin", integer, (integer, text)),
        ("bpf_obj_get", integer, (text,)),
        ("bpf_obj_get_info_by_fd", integer, (integer, pointer, pointer)),
        ("bpf_link_create", integer, (integer, integer, integer, pointer)),
        ("bpf_link_update", integer, (integer, integer, pointer)),
        ("bpf_tc_hook_create", integer, (pointer,)),
        ("bpf_tc_attach", integer, (pointer, pointer)),
        ("bpf_tc_query", integer, (pointer, pointer)),
        ("libbpf_num_possible_cpus", integer, ()),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.libbpf_set_print(None)  # what it would print is in the errors we raise
    return library


def _refused(what: str, code: int | None = None, log: str = "") -> BpfError:
    number = -code if code is not None and code < 0 else ctypes.get_errno()
    return BpfError(number, f"{what}: {os.strerror(number)}" + (f"\n{log}" if log else ""))


def _checked(code: int, what: str) -> int:
    if code < 0:
        raise _refused(what, code)
    return code


def possible_cpus() -> int:
    return _checked(_library().libbpf_num_possible_cpus(), "number of CPUs")


class Object:
    """A compiled file of programs and maps, loaded into the kernel.

    What is neither pinned nor attached goes with `close`.
    """

    def __init__(
        self, path: Path, pins: Path, sizes: Mapping[str, int] | None = None, counters: Collection[str] = ()
    ) -> None:
        """Load `path`. A map with a pin of its name in `pins` is that one, others are pinned there.

        `sizes`: the number of entries of maps made now, by name. `counters`: maps that are made anew, and so count from
        0, if this build has another number of them. Raises BpfError, with the verifier's log.
        """
        library = _library()
        self.path = path
        self._object = library.bpf_object__open_file(os.fsencode(path), None)
        if not self._object:
            raise _refused(f"open {path}")
        try:
            self._load(pins, sizes or {}, counters)
        except BaseException:
            self.close()
            raise

    def _load(self, pins: Path, sizes: Mapping[str, int], counters: Collection[str]) -> None:
        library = _library()
        pins.mkdir(parents=True, exist_ok=True)
        found = None
        while found := library.bpf_object__next_map(self._object, found):
            if library.bpf_map__is_internal(found):
                continue
            name = library.bpf_map__name(found).decode()
            pin = pins / name
            if name in sizes:
                entries = Map.pinned(pin).max_entries if pin.exists() else sizes[name]
                _checked(library.bpf_map__set_max_entries(found, entries), f"size of {name}")
            renewed = name in counters and pin.exists()
            if renewed and Map.pinned(pin).max_entries != library.bpf_map__max_entries(found):
                pin.unlink()
            _checked(library.bpf_map__set_pin_path(found, os.fsencode(pin)), f"pin path of {name}")
        log = ctypes.create_string_buffer(LOG_BYTES)
        found = None
        while found := library.bpf_object__next_program(self._object, found):
            _checked(library.bpf_program__set_log_buf(found, log, LOG_BYTES), "log buffer")
        code = library.bpf_object__load(self._object)
        if code < 0:
            raise _refused(f"load {self.path}", code, log.value.decode(errors="replace")[-8000:])

    def program(self, name: str) -> Descriptor:
        """A loaded program, which stays while the answer is held. Raises BpfError."""
        found = _library().bpf_object__find_program_by_name(self._object, name.encode())
        if not found:
            raise _refused(f"program {name}")
        return Descriptor(os.dup(_checked(_library().bpf_program__fd(found), f"program {name}")))

    def close(self) -> None:
        """Let go of programs and maps; what is pinned or attached stays."""
        if self._object:
            _library().bpf_object__close(self._object)
            self._object = None


class Descriptor:
    """A kernel object held open by one descriptor, closed with it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __del__(self) -> None:
        self.close()


def pin(held: Descriptor, path: Path) -> None:
    """Keep an object in the kernel under `path`. Raises BpfError."""
    _checked(_library().bpf_obj_pin(held.fd, os.fsencode(path)), f"pin {path}")


def pinned(path: Path) -> Descriptor:
    """What is pinned at `path`. Raises BpfError."""
    return Descriptor(_checked(_library().bpf_obj_get(os.fsencode(path)), f"open {path}"))


def _info(fd: int, size: int) -> bytes:
    """The first `size` bytes of bpf_map_info, bpf_prog_info or bpf_link_info."""
    buffer = ctypes.create_string_buffer(size)
    length = ctypes.c_uint32(size)
    _checked(_library().bpf_obj_get_info_by_fd(fd, buffer, ctypes.byref(length)), "object info")
    return buffer.raw


def program_id(program: Descriptor) -> int:
    """The kernel's number of a loaded program: equal numbers are the same program."""
    return int(struct.unpack_from("=II", _info(program.fd, 16))[1])


class Map(Descriptor):
    """A BPF map. Keys and values are bytes as the kernel holds them."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        _, self.id, self.key_size, self.value_size, self.max_entries = struct.unpack_from("=IIIII", _info(fd, 32))

    @classmethod
    def pinned(cls, path: Path) -> Map:
        return cls(_checked(_library().bpf_obj_get(os.fsencode(path)), f"open {path}"))

    def lookup(self, key: bytes, cpus: int = 0) -> bytes | None:
        """The value, or None. A per-CPU map answers `cpus` values in a row, each rounded up to 8 bytes."""
        value = ctypes.create_string_buffer((self.value_size + 7) // 8 * 8 * cpus if cpus else self.value_size)
        code = _library().bpf_map_lookup_elem(self.fd, key, value)
        if code == -errno.ENOENT:
            return None
        _checked(code, "map lookup")
        return value.raw

    def update(self, key: bytes, value: bytes) -> None:
        _checked(_library().bpf_map_update_elem(self.fd, key, value, 0), "map update")

    def delete(self, key: bytes) -> bool:
        """Whether there was such a row."""
        code = _library().bpf_map_delete_elem(self.fd, key)
        if code == -errno.ENOENT:
            return False
        _checked(code, "map delete")
        return True

    def __iter__(self) -> Iterator[bytes]:
        """Every key, once, as long as nobody deletes meanwhile: collect before deleting."""
        key: bytes | None = None
        following = ctypes.create_string_buffer(self.key_size)
        while (code := _library().bpf_map_get_next_key(self.fd, key, following)) != -errno.ENOENT:
            _checked(code, "map iteration")
            key = following.raw
            yield key

    def counts(self) -> list[int]:
        """A per-CPU array of 64-bit counters, each added up."""
        cpus = possible_cpus()
        rows = (self.lookup(struct.pack("=I", index), cpus) or b"" for index in range(self.max_entries))
        return [sum(struct.unpack(f"={len(row) // 8}Q", row)) for row in rows]

    def memory(self, length: int) -> mmap.mmap:
        """The values of an array made with BPF_F_MMAPABLE, shared with the programs; `length` in bytes."""
        return mmap.mmap(self.fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


def attach_xdp(program: Descriptor, ifindex: int) -> Descriptor:
    """An XDP link of `program` to an interface, in its driver if that can.

    Closing it detaches, unless it is pinned. Raises BpfError.
    """
    options = _LinkOptions(sz=ctypes.sizeof(_LinkOptions))
    code = _library().bpf_link_create(program.fd, ifindex, BPF_XDP, ctypes.byref(options))
    return Descriptor(_checked(code, f"attach XDP to interface {ifindex}"))


def update_link(link: Descriptor, program: Descriptor) -> None:
    """Swap the program of a link; no packet passes between. Raises BpfError."""
    _checked(_library().bpf_link_update(link.fd, program.fd, None), "swap the program of a link")


def xdp_link_of(link: Descriptor) -> tuple[int, int]:
    """Interface (0 once it is gone) and program number of an XDP link."""
    raw = _info(link.fd, 24)
    return int(struct.unpack_from("=I", raw, 16)[0]), int(struct.unpack_from("=I", raw, 8)[0])


def attach_filter(program: Descriptor, ifindex: int, direction: Direction) -> None:
    """Put our clsact filter on a link, or swap its program: no frame passes between. Raises BpfError."""
    hook = _Hook(sz=ctypes.sizeof(_Hook), ifindex=ifindex, attach_point=direction)
    both = _Hook(sz=ctypes.sizeof(_Hook), ifindex=ifindex, attach_point=Direction.INGRESS | Direction.EGRESS)
    code = _library().bpf_tc_hook_create(ctypes.byref(both))
    if code != -errno.EEXIST:
        _checked(code, f"clsact on interface {ifindex}")
    options = _Filter(
        sz=ctypes.sizeof(_Filter), prog_fd=program.fd, flags=1, handle=FILTER_HANDLE, priority=FILTER_PRIORITY
    )
    _checked(_library().bpf_tc_attach(ctypes.byref(hook), ctypes.byref(options)), f"filter on interface {ifindex}")


def filter_of(ifindex: int, direction: Direction) -> int | None:
    """The number of the program of our clsact filter on a link, or None."""
    hook = _Hook(sz=ctypes.sizeof(_Hook), ifindex=ifindex, attach_point=direction)
    options = _Filter(sz=ctypes.sizeof(_Filter), handle=FILTER_HANDLE, priority=FILTER_PRIORITY)
    code = _library().bpf_tc_query(ctypes.byref(hook), ctypes.byref(options))
    if code in {-errno.ENOENT, -errno.EINVAL, -errno.ENODEV}:
        return None
    _checked(code, f"filter of interface {ifindex}")
    return int(options.prog_id)
