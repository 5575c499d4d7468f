"""Small documents of every kind, made by hand so that any part of them can be wrong."""

import io
import struct
import warnings
import zipfile
import zlib
from hashlib import md5

DOCX_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
DOCX_RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
SHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
XLSX_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    '<Override PartName="/xl/worksheets/sheet1.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>'
)


def pdf(*objects: bytes) -> bytes:
    body, places = b"%PDF-1.5\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(places) + 1, table) + end


def page(content: bytes, *, more: tuple[bytes, ...] = (), root: bytes = b"", font: bytes = b"") -> bytes:
    """One page; `content` is its stream object, `more` are objects from number 6 on."""
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R %b >>" % root,
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R "
        b"/Resources << /Font << /F 5 0 R >> /XObject << /X 6 0 R >> >> >>",
        content,
        font or b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        *more,
    )


def stream(data: bytes, *, flates: int = 1) -> bytes:
    for _ in range(flates):
        data = zlib.compress(data, 9)
    filters = b" ".join([b"/FlateDecode"] * flates)
    return b"<< /Length %d /Filter [%b] >>\nstream\n%b\nendstream" % (len(data), filters, data)


def form(data: bytes) -> bytes:
    own = b"/Resources << /XObject << /X 6 0 R >> >>"
    return b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] %b /Length %d >>\nstream\n%b\nendstream" % (
        own,
        len(data),
        data,
    )


_PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
"""ISO 32000-1, 7.6.3.3: what fills up a password."""


def rc4(key: bytes, data: bytes) -> bytes:
    state, j, out = list(range(256)), 0, bytearray()
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def locked_for_changes(content: bytes) -> bytes:
    """A page that anybody may read: an owner's password, none for users, 40 bit (ISO 32000-1, 7.6.3)."""
    mark, allowed = b"\xab" * 16, -4
    owner = rc4(md5(b"miller" + _PADDING[:26], usedforsecurity=False).digest()[:5], _PADDING)
    secret = _PADDING + owner + struct.pack("<i", allowed) + mark
    key = md5(secret, usedforsecurity=False).digest()[:5]
    own = md5(key + struct.pack("<I", 4)[:3] + bytes(2), usedforsecurity=False).digest()[:10]
    shut = rc4(own, content)
    encrypt = b"<< /Filter /Standard /V 1 /R 2 /O <%b> /U <%b> /P %d >>" % (
        owner.hex().encode(),
        rc4(key, _PADDING).hex().encode(),
        allowed,
    )
    made = page(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(shut), shut), more=(encrypt,))
    return made.replace(b"/Root 1 0 R", b"/Root 1 0 R /Encrypt 6 0 R /ID [<%b> <%b>]" % ((mark.hex().encode(),) * 2))


def packed_as(parts: dict[str, str | bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return written.getvalue()


def packed_names(*names: str, link: bool = False) -> bytes:
    """An archive whose files are called so, and all hold the same text; `link` makes links of them."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that two have one name is the point
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16 if link else 0
            archive.writestr(info, "The mill turns.")
    return written.getvalue()


def russian_doll(depth: int) -> bytes:
    data = b"The mill turns."
    for _ in range(depth):
        data = packed_as({"a.zip" if data[:2] == b"PK" else "a.txt": data})
    return data


def changed_directory(archive: bytes, offset: int, value: bytes, *, last: bool = False) -> bytes:
    """`archive` with `value` at `offset` of its first or last directory entry (APPNOTE 4.3.12)."""
    entry = archive.rindex(b"PK\x01\x02") if last else archive.index(b"PK\x01\x02")
    return archive[: entry + offset] + value + archive[entry + offset + len(value) :]


def crowded(count: int) -> bytes:
    """An archive that lists one file `count` times."""
    archive = packed_names("a.txt")
    start, end = archive.index(b"PK\x01\x02"), archive.index(b"PK\x05\x06")
    entry = archive[start:end]
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, count * len(entry), start, 0)
    return archive[:start] + entry * count + tail


def long_archive(size_bytes: int) -> bytes:
    """A file that says in 64 bits that it has `size_bytes` (APPNOTE 4.5.3), and has fifteen."""
    archive = packed_names("a.txt")
    start, end = archive.index(b"PK\x01\x02"), archive.index(b"PK\x05\x06")
    entry = bytearray(archive[start:end])
    entry[24:28] = b"\xff" * 4
    entry[30:32] = struct.pack("<H", 12)
    entry += struct.pack("<HHQ", 1, 8, size_bytes)
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), start, 0)
    return archive[:start] + bytes(entry) + tail


def docx(document: str, **more: str | bytes) -> bytes:
    parts = {"[Content_Types].xml": DOCX_TYPES, "_rels/.rels": DOCX_RELATIONS, "word/document.xml": document}
    return packed_as({**parts, **more})


def word(paragraphs: str, *, doctype: str = "") -> str:
    return f'<?xml version="1.0"?>{doctype}<w:document {WORD}><w:body>{paragraphs}</w:body></w:document>'


def said(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def xlsx(sheet: str, shared: str = "") -> bytes:
    relations = DOCX_RELATIONS.replace("word/document.xml", "xl/workbook.xml")
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    workbook = (
        f'<?xml version="1.0"?><workbook {SHEET} xmlns:r="{kind}"><sheets><sheet name="a" sheetId="1" r:id="r1"/>'
        "</sheets></workbook>"
    )
    links = (
        '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{kind}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{kind}/sharedStrings" Target="sharedStrings.xml"/></Relationships>'
    )
    return packed_as(
        {
            "[Content_Types].xml": XLSX_TYPES,
            "_rels/.rels": relations,
            "xl/workbook.xml": workbook,
            "xl/_rels/workbook.xml.rels": links,
            "xl/worksheets/sheet1.xml": f'<?xml version="1.0"?><worksheet {SHEET}>{sheet}</worksheet>',
            "xl/sharedStrings.xml": shared or f'<?xml version="1.0"?><sst {SHEET}/>',
        }
    )


def laughs() -> str:
    entities = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    return f"<!DOCTYPE x [{entities}]>"


def outside(target: str) -> str:
    return f'<!DOCTYPE x [<!ENTITY e SYSTEM "{target}">]>'


def epub(chapter: str, *, name: str = "a.xhtml") -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr(
            "META-INF/container.xml",
            '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">'
            '<rootfiles><rootfile full-path="a.opf" media-type="application/oebps-package+xml"/></rootfiles>'
            "</container>",
        )
        archive.writestr(
            "a.opf",
            '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0"><manifest>'
            f'<item id="a" href="{name}" media-type="application/xhtml+xml"/></manifest>'
            '<spine><itemref idref="a"/></spine></package>',
        )
        archive.writestr("a.xhtml", chapter)
    return written.getvalue()


def nested_mail(depth: int) -> bytes:
    mail = b"From: a@b.c\r\nTo: d@e.f\r\nSubject: innermost\r\n\r\nThe mill.\r\n"
    for number in range(depth):
        mark = b"m%d" % number
        head = b"From: a@b.c\r\nTo: d@e.f\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
        head += b"Content-Type: multipart/mixed; boundary=" + mark + b"\r\n\r\n--" + mark
        mail = head + b"\r\nContent-Type: message/rfc822\r\n\r\n" + mail + b"\r\n--" + mark + b"--\r\n"
    return mail


def many_parts(count: int) -> bytes:
    part = b"--m\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=../../x\r\n\r\nx\r\n"
    head = b"From: a@b.c\r\nTo: d@e.f\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
    head += b"Content-Type: multipart/mixed; boundary=m\r\n\r\n"
    return head + part * count + b"--m--\r\n"
