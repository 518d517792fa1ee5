"""Addresses of networks, and URLs."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from urllib.parse import quote_from_bytes

from gomap.gotypes import GoType, Kind
from gomap.known.look import KnownType, Look, field, number, text_of
from gomap.spelling import quote

_MAPPED = 0xFFFF


def addr(look: Look, t: GoType, data: bytes) -> str | None:
    """netip.Addr, as its String writes it."""
    found = _addr(look, t, data)
    return None if found is None else found[0]


def _addr(look: Look, t: GoType, data: bytes) -> tuple[str, int] | None:
    """Text and number of bits; 0 bits for the zero Addr."""
    bits, zone = field(t, data, "addr"), field(t, data, "z")
    if bits is None or zone is None:
        return None
    high, low = number(look, *bits, "hi"), number(look, *bits, "lo")
    kind = _zone(look, *zone)
    if high is None or low is None or kind is None:
        return None
    size, name = kind
    if not size:
        return "invalid IP", 0
    if size == 32:
        return str(IPv4Address(low & 0xFFFFFFFF)), 32
    value = high << 64 | low
    return _v6(value) + (f"%{name}" if name else ""), 128


def _v6(value: int) -> str:
    """As RFC 5952 has it."""
    if value >> 32 == _MAPPED:
        return f"::ffff:{IPv4Address(value & 0xFFFFFFFF)}"
    groups = [value >> shift & 0xFFFF for shift in range(112, -1, -16)]
    start = length = 0
    for i in range(8):
        end = i
        while end < 8 and not groups[end]:
            end += 1
        if end - i > max(length, 1):
            start, length = i, end - i
    if not length:
        return ":".join(f"{group:x}" for group in groups)
    before, after = groups[:start], groups[start + length :]
    return f"{':'.join(f'{g:x}' for g in before)}::{':'.join(f'{g:x}' for g in after)}"


def _zone(look: Look, t: GoType, data: bytes) -> tuple[int, str] | None:
    """How many bits the address has, by its field z, and the zone's name: a unique.Handle[addrDetail] from Go 1.23 on,
    before that an *intern.Value, of which two stand for addresses without a zone (net/netip/netip.go)."""
    arch, memory = look.target.arch, look.target.memory
    handle = field(t, data, "value") if t.kind is Kind.STRUCT else None
    address = arch.pointer(data)
    if not address:
        return 0, ""
    if handle is not None:
        detail = handle[0].elem
        content = memory.read(address, detail.size)
        is_v6, name = number(look, detail, content, "isV6"), text_of(look, detail, content, "zoneV6")
        if is_v6 is None or name is None:
            return None
        return (128, name) if is_v6 else (32, "")
    if t.kind is not Kind.POINTER:
        return None
    for name, size in (("z4", 32), ("z6noz", 128)):
        known = look.target.symbol(f"net/netip.{name}")
        if known is None:
            return None
        if arch.pointer(memory.read(known, arch.pointer_size)) == address:
            return size, ""
    value = field(t.elem, memory.read(address, t.elem.size), "cmpVal")
    held = look.held(*value) if value is not None else None
    if held is None or held[0].kind is not Kind.STRING:
        return None
    return 128, look.string(held[1]).decode("utf-8", "replace")


def addr_port(look: Look, t: GoType, data: bytes) -> str | None:
    """A netip.AddrPort as its String method writes it; None where it can't be read."""
    ip, port = field(t, data, "ip"), number(look, t, data, "port")
    found = _addr(look, *ip) if ip is not None else None
    if found is None or port is None:
        return None
    text, bits = found
    if not bits:
        return "invalid AddrPort"
    return f"[{text}]:{port}" if bits == 128 else f"{text}:{port}"


def prefix(look: Look, t: GoType, data: bytes) -> str | None:
    """A netip.Prefix as its String method writes it; None where it can't be read."""
    ip, bits = field(t, data, "ip"), number(look, t, data, "bitsPlusOne")
    found = _addr(look, *ip) if ip is not None else None
    if found is None or bits is None:
        return None
    return f"{found[0]}/{bits - 1}" if bits else "invalid Prefix"


def ip(look: Look, t: GoType, data: bytes) -> str | None:
    """net.IP, as its String writes it."""
    raw = look.string(data)
    text = ip_text(raw)
    return text or ("?" + raw.hex() if raw else None)


def ip_text(raw: bytes) -> str | None:
    """None where the length is not that of an address."""
    raw = _unmapped(raw)
    if len(raw) == 4:
        return str(IPv4Address(raw))
    return _v6(int.from_bytes(raw, "big")) if len(raw) == 16 else None


def _unmapped(raw: bytes) -> bytes:
    """The four bytes of an IPv4 address that is written as an IPv6 address (To4 of net/ip.go)."""
    return raw[12:] if len(raw) == 16 and raw[:12] == bytes(10) + b"\xff\xff" else raw


def mask(look: Look, t: GoType, data: bytes) -> str | None:
    """A net.IPMask in hexadecimal; None for an empty one."""
    return look.string(data).hex() or None


def hardware(look: Look, t: GoType, data: bytes) -> str | None:
    """A net.HardwareAddr as xx:xx:...; None for an empty one."""
    return look.string(data).hex(":") or None


def ip_net(look: Look, t: GoType, data: bytes) -> str | None:
    """net.IPNet: 10.0.0.0/8."""
    address, bits = field(t, data, "IP"), field(t, data, "Mask")
    if address is None or bits is None:
        return None
    raw, ones = _unmapped(look.string(address[1])), look.string(bits[1])
    text = ip_text(raw)
    if len(ones) == 16 and len(raw) == 4 and ones[:12] == b"\xff" * 12:
        ones = ones[12:]
    if text is None or len(ones) != len(raw):
        return None
    counted = bin(int.from_bytes(ones, "big"))[2:].rjust(8 * len(ones), "0")
    length = counted.find("0") if "0" in counted else len(counted)
    return f"{text}/{length}" if "1" not in counted[length:] else f"{text}/{ones.hex()}"


def endpoint(look: Look, t: GoType, data: bytes) -> str | None:
    """net.TCPAddr and net.UDPAddr: 10.0.0.1:80."""
    address, port, zone = field(t, data, "IP"), number(look, t, data, "Port"), text_of(look, t, data, "Zone")
    if address is None or port is None or zone is None:
        return None
    raw = look.string(address[1])
    text = ip_text(raw) if raw else ""
    if text is None:
        return None
    text += f"%{zone}" if zone else ""
    return f"[{text}]:{port}" if ":" in text or "%" in text else f"{text}:{port}"


# -- URLs --------------------------------------------------------------------------------------------------

#: What stays as it is in the parts of a URL (net/url/url.go), beside letters, digits and -_.~ .
_PATH, _USER, _HOST, _FRAGMENT = "$&+,/:;=@", "$&+,;=", "!$&'()*+,;=:[]<>\"", "$&+,/:;=?@!()*"
_RAW = frozenset("!$&'()*+,;=:@[]-_.~/%" + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def url(look: Look, t: GoType, data: bytes) -> str | None:
    """url.URL, as its String writes it."""
    names = ("Scheme", "Opaque", "Host", "Path", "RawPath", "RawQuery", "Fragment", "RawFragment")
    texts = [text_of(look, t, data, name) for name in names]
    user, omit, force = field(t, data, "User"), number(look, t, data, "OmitHost"), number(look, t, data, "ForceQuery")
    if user is None or force is None or any(text is None for text in texts):
        return None
    scheme, opaque, host, path, raw_path, query, fragment, raw_fragment = (text or "" for text in texts)
    login = _userinfo(look, *user)
    text = f"{scheme}:" if scheme else ""
    if opaque:
        text += opaque
    else:
        omitted = bool(omit) and not host and login is None
        if (scheme or host or login is not None) and not omitted and (host or path or login is not None):
            text += "//" + (f"{login}@" if login is not None else "") + _escaped(host, _HOST)
        path = _escaped_as(path, raw_path, _PATH, star=True)
        if path and not path.startswith("/") and host:
            text += "/"
        if not text and ":" in path.partition("/")[0]:
            text += "./"
        text += path
    if force or query:
        text += f"?{query}"
    if fragment:
        text += f"#{_escaped_as(fragment, raw_fragment, _FRAGMENT)}"
    return text if text and text.isprintable() and " " not in text else quote(text.encode("utf-8", "surrogateescape"))


def _userinfo(look: Look, t: GoType, data: bytes) -> str | None:
    address = look.target.arch.pointer(data)
    if not address:
        return None
    content = look.target.memory.read(address, t.elem.size)
    name, word = text_of(look, t.elem, content, "username"), text_of(look, t.elem, content, "password")
    text = _escaped(name or "", _USER)
    return text + f":{_escaped(word or '', _USER)}" if number(look, t.elem, content, "passwordSet") else text


def _escaped(text: str, safe: str) -> str:
    return quote_from_bytes(text.encode("utf-8", "surrogateescape"), safe + "~")


def _escaped_as(text: str, raw: str, safe: str, star: bool = False) -> str:
    """How the URL had it where it still is an escaped form of the text, else the text, escaped."""
    if raw and set(raw) <= _RAW and _unescaped(raw) == text.encode("utf-8", "surrogateescape"):
        return raw
    return "*" if star and text == "*" else _escaped(text, safe)


def _unescaped(raw: str) -> bytes | None:
    parts = raw.split("%")
    found = bytearray(parts[0].encode())
    for part in parts[1:]:
        try:
            found += bytes.fromhex(part[:2].ljust(2, "?")) + part[2:].encode()
        except ValueError:
            return None
    return bytes(found)


def uuid(look: Look, t: GoType, data: bytes) -> str | None:
    """[16]byte of the packages uuid."""
    if t.length != 16 or t.elem.size != 1:
        return None
    text = data.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


TYPES: Mapping[str, KnownType] = {
    "net/netip.Addr": KnownType(addr, Kind.STRUCT, of_key=True),
    "net/netip.AddrPort": KnownType(addr_port, Kind.STRUCT, of_key=True),
    "net/netip.Prefix": KnownType(prefix, Kind.STRUCT, of_key=True),
    "net.IP": KnownType(ip, Kind.SLICE),
    "net.IPMask": KnownType(mask, Kind.SLICE),
    "net.HardwareAddr": KnownType(hardware, Kind.SLICE),
    "net.IPNet": KnownType(ip_net, Kind.STRUCT, by_pointer=True),
    "net.TCPAddr": KnownType(endpoint, Kind.STRUCT, by_pointer=True),
    "net.UDPAddr": KnownType(endpoint, Kind.STRUCT, by_pointer=True),
    "net/url.URL": KnownType(url, Kind.STRUCT, by_pointer=True),
    "github.com/google/uuid.UUID": KnownType(uuid, Kind.ARRAY, of_key=True),
    "github.com/gofrs/uuid.UUID": KnownType(uuid, Kind.ARRAY, of_key=True),
    "github.com/gofrs/uuid/v5.UUID": KnownType(uuid, Kind.ARRAY, of_key=True),
    "github.com/satori/go%2euuid.UUID": KnownType(uuid, Kind.ARRAY, of_key=True),
}
