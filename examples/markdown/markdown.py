"""Markdown to HTML, for text from strangers: what is not Markdown comes out escaped.

Headings, paragraphs, emphasis, code, fenced and indented code blocks, lists (nested, loose
or tight), quotes, links, images, rules, entities and hard breaks, after CommonMark's rules
as far as this subset goes. Raw HTML is text, and only http, https, mailto and relative links
stay links. Time grows with the length of the text alone: no pattern here backtracks over
more than a line's end, and nesting is bounded.
"""

import re
import unicodedata
from bisect import bisect_right
from html import escape, unescape

MAX_DEPTH = 32  # quotes and lists in one another; deeper ones are text


def render(text):
    """The HTML of a Markdown text; every block ends with a newline."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    lines = [line.expandtabs(4).rstrip("\n") for line in text.split("\n")]
    return "".join(_blocks(lines, 0, False))


# --- blocks ----------------------------------------------------------------------------

RUN = re.compile(r"(.)\1*", re.DOTALL)
BULLET = re.compile(r"([-*+])( +|$)")
NUMBER = re.compile(r"(\d{1,9})([.)])( +|$)")


class _Tight(str):
    """A paragraph of a tight list's item, which stands without a tag."""


def _indent(line):
    return len(line) - len(line.lstrip(" "))


def _run(text, i):
    """How often the character at i stands there in a row."""
    return RUN.match(text, i).end() - i


def _heading(text):
    """(level, text) of "## Heading ##", or None."""
    level = len(text) - len(text.lstrip("#"))
    if not 1 <= level <= 6 or text[level:level + 1] not in ("", " "):
        return None
    content = text[level:].strip()
    rest = content.rstrip("#")
    if not rest or rest.endswith(" "):
        content = rest.rstrip()
    return level, content


def _is_rule(text):
    marks = text.replace(" ", "")
    return len(marks) >= 3 and marks[0] in "-*_" and marks == marks[0] * len(marks)


def _fence(text):
    """(fence, language) of the first line of a fenced code block, or None."""
    if not text.startswith(("```", "~~~")):
        return None
    n = _run(text, 0)
    info = text[n:].strip()
    if text[0] == "`" and "`" in info:
        return None
    return text[:n], (info.split() or [""])[0]


def _ends_fence(line, fence):
    text = line.strip()
    return _indent(line) < 4 and len(text) >= len(fence) and text == fence[0] * len(text)


def _marker(line):
    """(kind, number, width up to the text) of a list item's first line, or None."""
    text = line.lstrip(" ")
    indent = len(line) - len(text)
    if indent > 3 or _is_rule(text):
        return None
    if match := BULLET.match(text):
        kind, number, mark, space = match.group(1), None, 1, match.group(2)
    elif match := NUMBER.match(text):
        kind, number = match.group(2), int(match.group(1))
        mark, space = match.end(2), match.group(3)
    else:
        return None
    # More than four spaces: one, and indented code.
    return kind, number, indent + mark + (len(space) if 1 <= len(space) <= 4 else 1)


def _begins_block(line):
    """Whether a line ends the paragraph before it."""
    text = line.lstrip(" ")
    if len(line) - len(text) > 3:
        return False
    if text.startswith(">") or _heading(text) or _is_rule(text) or _fence(text):
        return True
    marker = _marker(line)
    # "12." within a text begins no list, nor does a mark without a text.
    return marker is not None and marker[1] in (None, 1) and bool(line[marker[2]:].strip())


def _blocks(lines, depth, tight):
    """The blocks of lines that stand in one container, as a list of HTML."""
    out = []
    i = 0
    while i < len(lines):
        line = lines[i]
        text = line.lstrip(" ")
        if not text:
            i += 1
        elif _indent(line) > 3:
            i = _indented_code(lines, i, out)
        elif fence := _fence(text):
            i = _fenced_code(lines, i, *fence, out)
        elif heading := _heading(text):
            level, content = heading
            out.append(f"<h{level}>{_inline(content)}</h{level}>\n")
            i += 1
        elif _is_rule(text):
            out.append("<hr>\n")
            i += 1
        elif text.startswith(">") and depth < MAX_DEPTH:
            i = _quote(lines, i, depth, out)
        elif _marker(line) and depth < MAX_DEPTH:
            i = _list(lines, i, depth, out)
        else:
            i = _paragraph(lines, i, tight, out)
    return out


def _indented_code(lines, i, out):
    code = []
    while i < len(lines) and (not lines[i].strip() or _indent(lines[i]) > 3):
        code.append(lines[i][4:])
        i += 1
    while not code[-1].strip():
        code.pop()
    out.append("<pre><code>" + escape("\n".join(code)) + "\n</code></pre>\n")
    return i


def _fenced_code(lines, i, fence, language, out):
    indent = _indent(lines[i])
    code = []
    i += 1
    while i < len(lines) and not _ends_fence(lines[i], fence):
        code.append(lines[i][min(indent, _indent(lines[i])):] + "\n")
        i += 1
    kind = f' class="language-{escape(language)}"' if language else ""
    out.append(f"<pre><code{kind}>" + escape("".join(code)) + "</code></pre>\n")
    return i + 1


def _quote(lines, i, depth, out):
    inner = []
    while i < len(lines) and lines[i].strip():
        text = lines[i].lstrip(" ")
        if text.startswith(">") and _indent(lines[i]) < 4:
            inner.append(text[1:].removeprefix(" "))
        elif inner[-1].strip() and not _begins_block(inner[-1]) and not _begins_block(lines[i]):
            inner.append(text)  # a paragraph's further lines may leave the mark out
        else:
            break
        i += 1
    out.append("<blockquote>\n" + "".join(_blocks(inner, depth + 1, False)) + "</blockquote>\n")
    return i


def _item(lines, i, width):
    """The lines of a list item without its indentation, and where the next thing begins."""
    item = [lines[i][width:]]
    i += 1
    while i < len(lines):
        line = lines[i]
        if not line.strip() or _indent(line) >= width:
            item.append(line[width:])
        elif item[-1].strip() and not _begins_block(line) and _marker(line) is None:
            item.append(line.strip())  # a paragraph's further lines need no indentation
        else:
            break
        i += 1
    return item, i


def _is_loose(item):
    """Whether a blank line stands between the item's own blocks."""
    fence = None
    for n, line in enumerate(item[:-1]):
        if fence is not None:
            fence = None if _ends_fence(line, fence) else fence
        elif opening := _fence(line.strip()):
            fence = opening[0]
        elif not line.strip() and item[n + 1].strip() and _indent(item[n + 1]) < 2:
            return True
    return False


def _list(lines, i, depth, out):
    kind, start, _ = _marker(lines[i])
    items = []
    loose = False
    while i < len(lines):
        marker = _marker(lines[i])
        if marker is None or marker[0] != kind:
            break
        item, i = _item(lines, i, marker[2])
        blank = False
        while len(item) > 1 and not item[-1].strip():
            item.pop()
            blank = True
        follows = _marker(lines[i]) if i < len(lines) else None
        loose = loose or _is_loose(item) or bool(blank and follows and follows[0] == kind)
        items.append(item)
    tag = "ul" if start is None else "ol"
    first = f' start="{start}"' if start not in (None, 1) else ""
    out.append(f"<{tag}{first}>\n")
    for item in items:
        blocks = _blocks(item, depth + 1, not loose)
        body = "".join(blocks)
        if blocks and not isinstance(blocks[0], _Tight):
            body = "\n" + body
        if blocks and isinstance(blocks[-1], _Tight):
            body = body.rstrip("\n")
        out.append(f"<li>{body}</li>\n")
    out.append(f"</{tag}>\n")
    return i


def _paragraph(lines, i, tight, out):
    text = [lines[i].lstrip(" ")]
    i += 1
    while i < len(lines) and lines[i].strip() and not _begins_block(lines[i]):
        text.append(lines[i].lstrip(" "))
        i += 1
    body = _inline("\n".join(text).rstrip())
    out.append(_Tight(body + "\n") if tight else f"<p>{body}</p>\n")
    return i


# --- within a paragraph ------------------------------------------------------------------

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
PLAIN = re.compile(r"[^\\`<\[\]!*_&\n ]+")
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^\s<>]*)>", re.IGNORECASE)
TARGET = re.compile(
    r"\([ \n]{0,9}(<[^<>\n]*>|[^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*)"
    r"(?:[ \n]{1,9}(\"[^\"]*\"|'[^']*'))?[ \n]{0,9}\)"
)
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class _Marks:
    """A run of * or _: what is left of it, and the tags that the rest became."""

    def __init__(self, text, i, n):
        before = text[i - 1] if i > 0 else " "
        after = text[i + n] if i + n < len(text) else " "
        left = not after.isspace() and (
            not _is_punctuation(after) or before.isspace() or _is_punctuation(before))
        right = not before.isspace() and (
            not _is_punctuation(before) or after.isspace() or _is_punctuation(after))
        self.char = text[i]
        self.total = self.left = n
        if self.char == "*":
            self.opens, self.closes = left, right
        else:
            self.opens = left and (not right or _is_punctuation(before))
            self.closes = right and (not left or _is_punctuation(after))
        self.begun = []  # tags after the marks that are left, the last one outermost
        self.ended = []  # tags before them, in order

    def fits(self, closer):
        """Whether this run may open what closer closes (CommonMark's rule of three)."""
        if self.char != closer.char:
            return False
        odd = (self.closes or closer.opens) and (self.total + closer.total) % 3 == 0
        return not odd or (self.total % 3 == 0 and closer.total % 3 == 0)

    def html(self):
        return "".join(self.ended) + self.char * self.left + "".join(reversed(self.begun))


class _Bracket:
    """A [ or ![ that may begin a link or an image."""

    def __init__(self, text):
        self.text = text
        self.active = True

    def html(self):
        return self.text


def _is_punctuation(c):
    return unicodedata.category(c)[0] in "PS"


def _inline(text):
    return _html(_parts(text))


def _html(parts):
    _pair_marks([part for part in parts if isinstance(part, _Marks)])
    return "".join(part if isinstance(part, str) else part.html() for part in parts)


def _pair_marks(runs):
    """Turns runs of marks into <em> and <strong>; each run's openers are looked for once."""
    openers = []  # (number, run)
    bottom = {}  # what a kind of closer searched for in vain down to here
    for number, run in enumerate(runs):
        kind = (run.char, run.opens, run.total % 3)
        while run.closes and run.left > 0:
            k = len(openers) - 1
            while k >= 0 and openers[k][0] > bottom.get(kind, -1) and not openers[k][1].fits(run):
                k -= 1
            if k < 0 or openers[k][0] <= bottom.get(kind, -1):
                bottom[kind] = number - 1
                break
            opener = openers[k][1]
            n = 2 if opener.left >= 2 and run.left >= 2 else 1
            tag = "strong" if n == 2 else "em"
            opener.begun.append(f"<{tag}>")
            run.ended.append(f"</{tag}>")
            opener.left -= n
            run.left -= n
            del openers[k + (1 if opener.left > 0 else 0):]
        if run.opens and run.left > 0:
            openers.append((number, run))


def _parts(text):
    """Text as a list of HTML, runs of marks, and brackets that began nothing."""
    parts = []
    brackets = []  # where in parts the open ones are
    ticks = {}  # length of a run of backticks: where such runs are
    for match in re.finditer("`+", text):
        ticks.setdefault(match.end() - match.start(), []).append(match.start())
    i = 0
    while i < len(text):
        c = text[i]
        n = 1
        if match := PLAIN.match(text, i):
            parts.append(escape(match.group()))
            n = match.end() - i
        elif c == " ":
            n = _run(text, i)
            if text[i + n:i + n + 1] == "\n":
                parts.append("<br>\n" if n >= 2 else "\n")
                n += 1
            else:
                parts.append(" " * n)
        elif c == "\\" and text[i + 1:i + 2] == "\n":
            parts.append("<br>\n")
            n = 2
        elif c == "\\" and i + 1 < len(text) and text[i + 1] in PUNCTUATION:
            parts.append(escape(text[i + 1]))
            n = 2
        elif c == "`":
            n = _code(text, i, ticks, parts)
        elif c == "<" and (match := AUTOLINK.match(text, i)):
            url = escape(match.group(1))
            parts.append(f'<a href="{url}">{url}</a>')
            n = match.end() - i
        elif c == "&" and (match := ENTITY.match(text, i)):
            parts.append(escape(unescape(match.group())))
            n = match.end() - i
        elif c in "*_":
            n = _run(text, i)
            parts.append(_Marks(text, i, n))
        elif c == "[" or text.startswith("![", i):
            n = 1 if c == "[" else 2
            brackets.append(len(parts))
            parts.append(_Bracket(text[i:i + n]))
        elif c == "]" and brackets:
            n = _link(text, i, brackets, parts)
        else:
            parts.append(escape(c))
        i += n
    return parts


def _code(text, i, ticks, parts):
    """`code`, up to the next run of as many backticks; without one they are text."""
    n = _run(text, i)
    runs = ticks[n]
    k = bisect_right(runs, i)
    if k == len(runs):
        parts.append("`" * n)
        return n
    code = text[i + n:runs[k]].replace("\n", " ")
    if len(code) > 1 and code[0] == code[-1] == " " and code.strip():
        code = code[1:-1]
    parts.append(f"<code>{escape(code)}</code>")
    return runs[k] + n - i


def _link(text, i, brackets, parts):
    """At a ]: makes a link or an image of what began at the last open bracket."""
    at = brackets.pop()
    bracket = parts[at]
    match = TARGET.match(text, i + 1)
    url = _safe_url(match.group(1)) if match else None
    if url is None or not bracket.active:
        parts.append("]")
        return 1
    inner = _html(parts[at + 1:])
    title = f' title="{_text(match.group(2)[1:-1])}"' if match.group(2) else ""
    if bracket.text == "[":
        for other in brackets:  # no links within links
            parts[other].active = parts[other].active and parts[other].text == "!["
        made = f'<a href="{url}"{title}>{inner}</a>'
    else:
        alt = re.sub(r"<[^<>]*>", "", inner)
        made = f'<img src="{url}" alt="{alt}"{title}>'
    del parts[at:]
    parts.append(made)
    return match.end() - i


def _text(source):
    """Text without Markdown: backslashes and entities resolved, then escaped."""
    source = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", source)
    return escape(ENTITY.sub(lambda match: unescape(match.group()), source))


def _safe_url(target):
    """A link's target as an attribute's value; None if it could run something."""
    url = unescape(_text(target[1:-1] if target.startswith("<") else target))
    if any(ord(c) < 0x20 for c in url):
        return None
    scheme = SCHEME.match(url.lstrip())
    if scheme and scheme.group().lower() not in ("http:", "https:", "mailto:"):
        return None
    return escape(url.replace(" ", "%20"))
