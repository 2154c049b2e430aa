"""A strict reader of Prometheus' text format (0.0.4), so that what a node says of itself can be checked."""
import re

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(r"(%s)(?:\{(.*)\})? (\S+)$" % _NAME)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
_VALUE = re.compile(r"[+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf)$|NaN$")
_TYPES = ("counter", "gauge", "histogram")


def _labels(text):
    labels = {}
    while text:
        match = _LABEL.match(text)
        assert match, f"bad labels: {text!r}"
        assert match[1] not in labels, f"a label twice: {text!r}"
        labels[match[1]] = match[2]
        text = text[match.end():]
        if text:
            assert text[0] == "," and len(text) > 1, f"bad labels: {text!r}"
            text = text[1:]
    return labels


class Family:
    def __init__(self, name, help_text):
        self.name = name
        self.help = help_text
        self.type = None
        self.samples = []  # (suffix, labels, value)

    def value(self, suffix="", **labels):
        """The one sample with these labels, None when there is none."""
        found = [v for s, l, v in self.samples
                 if s == suffix and all(l.get(k) == w for k, w in labels.items())]
        assert len(found) <= 1, (self.name, labels, found)
        return found[0] if found else None

    def total(self, suffix="", **labels):
        return sum(v for s, l, v in self.samples if s == suffix and all(l.get(k) == w for k, w in labels.items()))

    def check(self):
        assert self.type, f"{self.name} has no type"
        assert self.samples, f"{self.name} has no samples"
        seen = set()
        for suffix, labels, value in self.samples:
            key = (suffix, tuple(sorted(labels.items())))
            assert key not in seen, f"twice: {self.name}{key}"
            seen.add(key)
            if self.type == "counter":
                assert value >= 0, (self.name, value)
        if self.type == "histogram":
            self._check_histograms()

    def _check_histograms(self):
        series = {}
        for suffix, labels, value in self.samples:
            rest = {k: v for k, v in labels.items() if k != "le"}
            one = series.setdefault(tuple(sorted(rest.items())), {"bucket": []})
            if suffix == "_bucket":
                one["bucket"].append((float(labels["le"]), value))
            else:
                assert suffix in ("_sum", "_count"), (self.name, suffix)
                one[suffix] = value
        for labels, one in series.items():
            bounds = [b for b, _ in one["bucket"]]
            counts = [c for _, c in one["bucket"]]
            assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), (self.name, labels, bounds)
            assert counts == sorted(counts), (self.name, labels, counts)
            assert counts[-1] == one["_count"], (self.name, labels)
            assert one["_sum"] >= 0, (self.name, labels)


def parse(text):
    """{name: Family}; AssertionError for anything that isn't as the format says."""
    assert text.endswith("\n"), "the last line has no end"
    families = {}
    family = None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, _, help_text = line[7:].partition(" ")
            assert re.fullmatch(_NAME, name) and help_text, line
            assert name not in families, f"{name} comes twice"
            family = families[name] = Family(name, help_text)
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            assert family and name == family.name and family.type is None and not family.samples, line
            assert kind in _TYPES, line
            family.type = kind
        else:
            match = _SAMPLE.match(line)
            assert match and _VALUE.match(match[3]), f"not a sample: {line!r}"
            assert family and family.type, f"a sample before its type: {line!r}"
            suffix = match[1][len(family.name):]
            assert match[1].startswith(family.name), f"{match[1]} stands under {family.name}"
            assert suffix in (("_bucket", "_sum", "_count") if family.type == "histogram" else ("",)), line
            family.samples.append((suffix, _labels(match[2] or ""), float(match[3])))
    for family in families.values():
        family.check()
    return families


def of(node):
    """The families of a node's /metrics."""
    client = node.client()
    try:
        answer = client.request("GET", "/metrics")
        assert answer.status == 200, answer
        return parse(answer.body.decode("utf-8"))
    finally:
        client.close()
