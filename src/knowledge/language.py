"""Pure: the language of a text, where its script or its smallest words say so."""

import re
from collections import Counter
from typing import Final

SAMPLE_CHARS_MAX: Final = 20_000
# Fewer letters than this say nothing: part numbers and names look English in every language.
LETTERS_MIN: Final = 20
SCRIPT_SHARE_MIN: Final = 0.3
# A tenth of kana is enough: Japanese is mostly Han by count in titles, Chinese never has any.
KANA_SHARE_MIN: Final = 0.1
# A third of running English is among the words below; addresses and names thin it out to a twentieth.
STOP_WORD_SHARE_MIN: Final = 0.05

_SCRIPTS: Final = {
    "kana": re.compile("[\u3040-\u30ff]"),
    "zh": re.compile("[\u3400-\u4dbf\u4e00-\u9fff]"),
    "ko": re.compile("[\uac00-\ud7af\u1100-\u11ff]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
    "el": re.compile("[\u0370-\u03ff]"),
    "he": re.compile("[\u0590-\u05ff]"),
    "latin": re.compile("[A-Za-z\u00c0-\u024f]"),
    "ar": re.compile("[\u0620-\u064a\u066e-\u06d3\ufb50-\ufdff\ufe70-\ufefc]"),
    "ru": re.compile("[\u0400-\u04ff]"),
    "other": re.compile("[\u0900-\u0dff]"),
}
_LATIN_ALONE: Final = {"latin": _SCRIPTS["latin"]}
_NEIGHBOURS: Final = {
    "ar": re.compile("[\u067e\u0686\u0698\u06a9\u06af\u06cc\u06d2\u0679]"),
    "ru": re.compile("[\u0402-\u040f\u0452-\u045f\u0490-\u04ff]"),
}
_WEIGHTS: Final = {"kana": 3, "zh": 3, "ko": 3}
# The commonest small words of each language, as one string each; none is long enough to be a word of substance.
_STOP_WORDS: Final = {
    "en": "the of and to in is that for with was on are as by at be this from it",
    "de": "der die und das den von zu mit ist des im dem nicht ein eine auf für",
    "fr": "le la les des et du une est que dans pour qui sur pas par au aux",
    "es": "el la los las que del una por con para como más su se al lo",
    "it": "il che di della per una sono con non dei nel alla gli anche è",
    "pt": "o que do da em um para com não uma os dos as mais ao à",
    "nl": "de het een van en dat op te niet zijn met voor aan er ook",
}
_WORD: Final = re.compile("[a-z\u00e0-\u024f]+")


def detect_language(text: str, declared: str | None = None) -> str | None:
    """ISO 639-1 code of the language of `text`; `declared` (a tag such as `zh-CN`) fills in where it is unclear."""
    sample = text[:SAMPLE_CHARS_MAX]
    return _by_script(sample) or _from_tag(declared)


def _by_script(sample: str) -> str | None:
    # One Han character says as much as three letters: a Chinese text with English terms in it stays Chinese.
    # Of ASCII all but the Latin letters would be looked for in vain, for half of the time.
    scripts = _LATIN_ALONE if sample.isascii() else _SCRIPTS
    counts = Counter({name: len(pattern.findall(sample)) * _WEIGHTS.get(name, 1) for name, pattern in scripts.items()})
    letters = sum(counts.values())
    if letters < LETTERS_MIN and not counts["zh"] + counts["kana"] + counts["ko"]:
        return None
    east_asian = counts["zh"] + counts["kana"]
    if east_asian and counts["kana"] / east_asian >= KANA_SHARE_MIN and east_asian / letters >= SCRIPT_SHARE_MIN:
        return "ja"
    script = max(counts, key=counts.__getitem__)
    if counts[script] / letters < SCRIPT_SHARE_MIN:
        return None
    match script:
        case "zh" | "ko" | "th" | "el" | "he":
            return script
        case "ar" | "ru":
            # Persian, Urdu, Ukrainian and others share the script and have letters of their own.
            return None if _NEIGHBOURS[script].search(sample) else script
        case "latin":
            return _by_small_words(sample)
        case _:
            return None


def _by_small_words(sample: str) -> str | None:
    words = Counter(_WORD.findall(sample.lower()))
    total = sum(words.values())
    shares = {code: sum(words[word] for word in stop_words.split()) / total for code, stop_words in _STOP_WORDS.items()}
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] >= STOP_WORD_SHARE_MIN else None


def _from_tag(tag: str | None) -> str | None:
    primary = re.split("[-_]", tag or "")[0].strip().lower()
    return primary if len(primary) == 2 and primary.isascii() and primary.isalpha() else None
