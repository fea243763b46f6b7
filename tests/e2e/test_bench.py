"""The benches still run. What they measure is looked at by people, not here."""

import json
import xml.etree.ElementTree

from lib import PREFIX, ROOT, run

BENCH = ROOT / "tests" / "bench" / "run"


def test_quick_benches_measure_and_report(tmp_path):
    """Two that need no other system's programs: one of calls, one of the controller."""
    out, page = tmp_path / "bench.json", tmp_path / "page.md"
    names = ["warm-lambda", "controller"]
    result = run([BENCH, *names, "--quick", "--rounds", "1", "--prefix", PREFIX, "--json", out,
                  "--page", page, "--svg", tmp_path], timeout=300)
    found = json.loads(out.read_text())
    assert [b["name"] for b in found["benches"]] == names
    for bench in found["benches"]:
        assert bench["ratios"] and all(r["ratio"] > 0 for r in bench["ratios"])
        assert all(r["met"] is (r["ratio"] <= float(r["budget"].split()[1]))
                   for r in bench["ratios"] if r["budget"].startswith("≤"))
        assert f"### {bench['name']}: {bench['title']}" in page.read_text()
        assert f"{bench['name']}: {bench['title']}" in result.stdout
    lambda_rows = {r["system"]: r for r in found["benches"][0]["rows"]}
    assert all(r["rate"] > 0 and r["p50_us"] <= r["p99_us"] for r in lambda_rows.values())
    drawn = xml.etree.ElementTree.parse(tmp_path / "ratios.svg").getroot()
    assert drawn.tag.endswith("svg") and len(drawn.findall(".//{*}rect")) > len(lambda_rows)


def test_an_unknown_bench_is_named():
    result = run([BENCH, "no-such"], check=False)
    assert result.returncode == 1
    assert "no bench no-such" in result.stderr and "--list" in result.stderr
