"""A page is one file: pictures in it, words escaped, links that lead somewhere."""

import pandas as pd

from rurklib.study.report import page


def test_every_kind_of_block(tmp_path):
    (tmp_path / "a.png").write_bytes(b"PNG")
    table = pd.DataFrame({"a<b": ["x & y", "z"], "n": [0.12345, float("nan")]})
    blocks = [
        page.Text("1 < 2"),
        page.Heading("more & more"),
        page.Table(table, "plain", folded=True),
        page.Table(table, "linked", links=["cells/a b.html", ""]),
        page.Picture(tmp_path / "a.png", 'an "alt"', "read it so"),
        page.Gallery([("cells/a b.png", "small", "one of many")]),
    ]
    page.write_page(tmp_path / "p.html", "T & t", blocks)
    html = (tmp_path / "p.html").read_text()
    assert "<title>T &amp; t</title>" in html
    assert "<p>1 &lt; 2</p>" in html
    assert "<h2>more &amp; more</h2>" in html
    assert "<details><summary>plain</summary>" in html
    assert html.count("x &amp; y") == html.count("<th>a&lt;b</th>") == 2
    assert '<a href="cells/a%20b.html">x &amp; y</a>' in html
    assert "<td>z</td>" in html
    assert "<td>0.123</td>" in html
    assert 'alt="an &quot;alt&quot;" src="data:image/png;base64,UE5H"' in html
    assert '<a href="cells/a%20b.png"><img' in html
