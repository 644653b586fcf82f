#!/usr/bin/env python3
"""Refuses a release binary that would not run where its archive says it does.

    check-binary.py TARGET FILE
    check-binary.py --self-test MACHO ELF    of arm64 and of x86-64; damaged copies of them must be refused

Under 1,000,000 bytes. Linux: static, so no interpreter and no library. macOS: only the system's libraries, macOS 11 at the latest and, on
Apple silicon, a signature whose hashes are those of the file's pages: the kernel compares each page when it is first
used and kills the process where one differs, so that a signature is there says little.
"""

import hashlib
import re
import struct
import sys

LIBRARIES = re.compile(r"/usr/lib/(libSystem\.B|libiconv\.2|libcharset\.1)\.dylib")
SIZE_MAX = 1_000_000  # bytes; the contract's limit
MACOS_MAX = (11, 0)
CPU = {"x86_64": 0x01000007, "aarch64": 0x0100000C}  # <mach/machine.h>
ELF_MACHINE = {"x86_64": 62, "aarch64": 183}  # <elf.h>


class Refused(Exception):
    pass


def require(holds, why):
    if not holds:
        raise Refused(why)


def check_elf(data, arch):
    require(data[:6] == b"\x7fELF\x02\x01", "not a little-endian 64-bit ELF file")
    require(struct.unpack_from("<H", data, 18)[0] == ELF_MACHINE[arch], f"not for {arch}")
    table, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    require(count > 0, "no program headers")
    for at in range(table, table + size * count, size):
        kind, flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, at)
        require(kind != 3, "not static: it names an interpreter")  # PT_INTERP
        require(not (kind == 1 and flags & 3 == 3), "a segment is writable and executable")  # PT_LOAD
        if kind == 2:  # PT_DYNAMIC, which a static-pie has
            tags = [struct.unpack_from("<Q", data, at)[0] for at in range(offset, offset + length, 16)]
            require(1 not in tags, "not static: it needs a library")  # DT_NEEDED


def check_macho(data, arch):
    """The layouts are those of <mach-o/loader.h>."""
    magic, cpu, _, kind, count = struct.unpack_from("<5I", data)
    require(magic == 0xFEEDFACF, "not a 64-bit Mach-O file")
    require(cpu == CPU[arch], f"not for {arch}")
    require(kind == 2, "not an executable")
    at, minimum, signature, segments = 32, None, None, {}
    for _ in range(count):
        command, size = struct.unpack_from("<II", data, at)
        if command in (0xC, 0x20, 0x80000018, 0x8000001F, 0x80000023):  # LC_LOAD_DYLIB, lazy, weak, re-export, upward
            name = data[at + struct.unpack_from("<I", data, at + 8)[0] : at + size].split(b"\0")[0].decode()
            require(LIBRARIES.fullmatch(name), f"links {name}")
        elif command == 0x8000001C:  # LC_RPATH
            raise Refused("has a run path")
        elif command == 0x32:  # LC_BUILD_VERSION
            platform, version = struct.unpack_from("<II", data, at + 8)
            require(platform == 1, "not for macOS")
            minimum = version
        elif command == 0x24:  # LC_VERSION_MIN_MACOSX
            minimum, = struct.unpack_from("<I", data, at + 8)
        elif command == 0x19:  # LC_SEGMENT_64
            name, *_, offset, length = struct.unpack_from("<16s4Q", data, at + 8)
            segments[name.rstrip(b"\0")] = (offset, length)
        elif command == 0x1D:  # LC_CODE_SIGNATURE
            signature = struct.unpack_from("<II", data, at + 8)
        at += size
    require(minimum is not None, "no minimum macOS")
    version = (minimum >> 16, minimum >> 8 & 0xFF)
    require(version <= MACOS_MAX, "needs macOS %d.%d" % version)
    if arch == "aarch64" or signature:
        require(signature, "not signed")
        check_signature(data, *signature, segments)


def check_signature(data, start, length, segments):
    """The layouts are those of xnu's osfmk/kern/cs_blobs.h; big-endian, unlike the rest of the file."""
    require(start + length == len(data), "the signature is not the end of the file")
    require(start % 16 == 0, "the signature is not aligned")
    linkedit = segments.get(b"__LINKEDIT", (0, 0))
    require(sum(linkedit) == len(data), "__LINKEDIT does not end with the file")
    magic, blob_length, count = struct.unpack_from(">3I", data, start)
    require(magic == 0xFADE0CC0 and blob_length <= length, "the signature is no blob")
    slots = dict(struct.unpack_from(">II", data, start + 12 + 8 * n) for n in range(count))
    require(0 in slots, "the signature has no code directory")
    at = start + slots[0]
    magic, size, version, flags, hashes, _, special, pages, limit = struct.unpack_from(">9I", data, at)
    hash_size, hash_type, _, page_shift = struct.unpack_from(">4B", data, at + 36)
    require(magic == 0xFADE0C02 and at + size <= len(data), "no code directory")
    require(flags & 2, "not signed ad hoc")
    require((hash_size, hash_type) == (32, 2), "not hashed with SHA-256")
    require(limit == start, "the hashes do not cover the file up to the signature")
    page = 1 << page_shift
    require(page_shift in (12, 14) and pages == -(-limit // page), "the number of hashes is wrong")
    require(hashes >= 44 + 32 * special and hashes + 32 * pages <= size, "the hashes lie outside the code directory")
    for n in range(pages):
        digest = hashlib.sha256(data[n * page : min((n + 1) * page, limit)]).digest()
        stated = data[at + hashes + 32 * n : at + hashes + 32 * (n + 1)]
        require(digest == stated, f"page {n} differs from its hash")
    require(version >= 0x20400, "the code directory states no executable segment")
    base, reach, kind = struct.unpack_from(">3Q", data, at + 64)
    require((base, reach) == segments.get(b"__TEXT") and kind & 1, "the executable segment is not __TEXT")


def check(target, data):
    arch, system = target.split("-", 1)
    require(len(data) < SIZE_MAX, f"has {len(data)} bytes, and {SIZE_MAX} are too many")
    try:
        {"unknown-linux-musl": check_elf, "apple-darwin": check_macho}[system](data, arch)
    except (struct.error, UnicodeDecodeError) as error:
        raise Refused(f"broken: {error}") from error


def with_bytes(data, at, new):
    return data[:at] + new + data[at + len(new) :]


def damaged_elves(good):
    """Why it must be refused, and the file."""
    table, = struct.unpack_from("<Q", good, 32)
    size, count = struct.unpack_from("<HH", good, 54)
    headers = {struct.unpack_from("<I", good, at)[0]: at for at in range(table, table + size * count, size)}
    load, spare = headers[1], headers[0x6474E551]  # PT_LOAD, PT_GNU_STACK
    needs = struct.pack("<IIQQQQ", 2, 4, len(good), 0, 0, 16)  # PT_DYNAMIC, of the two words behind the file
    yield "names an interpreter", with_bytes(good, spare, struct.pack("<I", 3))
    yield "needs a library", with_bytes(good, spare, needs) + struct.pack("<QQ", 1, 0)
    yield "writable and executable", with_bytes(good, load + 4, struct.pack("<I", 7))
    yield "bytes, and", good + bytes(SIZE_MAX - len(good))
    yield "not for x86_64", with_bytes(good, 18, struct.pack("<H", 183))
    yield "not a little-endian", good[1:]


def damaged_machos(good):
    commands, at = {}, 32
    for _ in range(struct.unpack_from("<I", good, 16)[0]):
        kind, size = struct.unpack_from("<II", good, at)
        commands[kind] = at
        at += size
    library, build, signature = commands[0xC], commands[0x32], commands[0x1D]
    name = library + struct.unpack_from("<I", good, library + 8)[0]
    yield "links /opt/", with_bytes(good, name, b"/opt/")
    yield "has a run path", with_bytes(good, library, struct.pack("<I", 0x8000001C))
    yield "needs macOS 12.3", with_bytes(good, build + 12, struct.pack("<I", 12 << 16 | 3 << 8))
    yield "not for macOS", with_bytes(good, build + 8, struct.pack("<I", 2))
    yield "not signed", with_bytes(good, signature, struct.pack("<I", 0x26))  # LC_FUNCTION_STARTS
    yield "bytes, and", good + bytes(SIZE_MAX - len(good))
    yield "not for aarch64", with_bytes(good, 4, struct.pack("<I", CPU["x86_64"]))
    yield "not an executable", with_bytes(good, 12, struct.pack("<I", 6))
    pages = len(good) >> 12
    spots = [(n << 12) + 0x7FF for n in range(0, pages, max(1, pages // 20))]
    for at in [*spots, len(good) // 2, 100]:
        if at < len(good) - 0x8000:
            yield "", with_bytes(good, at, bytes([good[at] ^ 1]))
    for broken in (good[:-1], good + b"\0", good[:4096], b"", good[:16] + struct.pack("<I", 3) + good[20:]):
        yield "", broken


def self_test(macho, elf):
    refused = 0
    for target, path, damaged in [
        ("aarch64-apple-darwin", macho, damaged_machos),
        ("x86_64-unknown-linux-musl", elf, damaged_elves),
    ]:
        with open(path, "rb") as file:
            good = file.read()
        check(target, good)
        for other in ("x86_64-apple-darwin", "aarch64-apple-darwin", "aarch64-unknown-linux-musl"):
            if other != target:
                must_refuse(other, good, "")
        for why, data in damaged(good):
            must_refuse(target, data, why)
            refused += 1
    print(f"check-binary: refused {refused} damaged copies")


def must_refuse(target, data, why):
    try:
        check(target, data)
    except Refused as found:
        if why in str(found):
            return
        sys.exit(f"check-binary: refused for another reason than {why!r}: {found}")
    sys.exit(f"check-binary: accepted as {target}, though {why or 'damaged'}")


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--self-test":
        return self_test(*sys.argv[2:])
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    target, path = sys.argv[1:]
    with open(path, "rb") as file:
        data = file.read()
    try:
        check(target, data)
    except Refused as why:
        sys.exit(f"check-binary: {path}: {why}")


if __name__ == "__main__":
    main()
