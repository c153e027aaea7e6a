"""Which cells a grid is, and what is refused before anything starts."""

import pytest

from rurklib.checks import InputError, seeds
from rurklib.study.notebooks import study_order
from rurklib.study.notebooks.notebook import read
from rurklib.study.sweep import grid
from rurklib.study.sweep.grid import from_file, from_options
from rurklib.study.sweep.run import plan


def made(book, *words, seeds=None):
    groups = from_options(words)
    return grid.cells(read(book), grid.with_seeds(groups, seeds) if seeds else groups)


def values(cells, *names):
    return [tuple(c.parameters[n] for n in names) for c in cells]


def test_cells_are_all_combinations_in_order_with_the_other_defaults(notebook):
    cells = made(notebook(), "tau=0.5,0", "name=a,b", seeds="1..2")
    assert values(cells, "tau", "name", "seed") == [
        (tau, name, seed) for tau in (0.5, 0.0) for name in "ab" for seed in (1, 2)
    ]
    assert {c.groups for c in cells} == {("grid",)}
    assert {type(c.parameters["tau"]) for c in cells} == {float}  # 0 is the float it is for
    assert cells[0].parameters["layers"] == [1, 2]
    assert cells[0].parameters["bound"] is None
    assert "out" not in cells[0].parameters


def test_the_same_cell_twice_is_one(notebook):
    assert values(made(notebook(), "tau=0,0.0,-0.0,0.1"), "tau") == [(0.0,), (0.1,)]


ROWS = [
    {"recognised_only": True},
    {"v": 2},
    {"v": 4},
    {"lambda_a": 0.0},
    {"lambda_f": 0.0},
    *({"perturbation": p, "target": "random"} for p in ("fgsm", "pgd")),
    *({"perturbation": p, "target": None} for p in ("fgsm", "pgd")),
    *({"perturbation": f"{p}-untargeted", "target": None} for p in ("fgsm", "pgd")),
    *({"batchnorm": b, "clip": c} for b in ("train", "frozen") for c in (1.0, 1e9)),
]


@pytest.mark.parametrize("name", ["ablations", "ablations_cifar5"])
def test_the_grids_of_this_repository_have_the_papers_rows_and_ours(name):
    """Fails if a row that a page promises is swept on one data set alone, on fewer seeds than
    three, or with something else changed beside."""
    book = study_order.folder() / "06_ablations.ipynb"
    cells = grid.cells(read(book), from_file(study_order.folder() / f"{name}.yaml"))
    choices = {k for row in ROWS for k in row} | {"tau", "lam", "model", "forget_share"}
    for row in ROWS:
        wanted = {**dict.fromkeys(choices), **row}
        wanted.pop("v" if "recognised_only" in row else "", None)  # there, more than one
        seeds = {c.parameters["seed"] for c in cells if wanted.items() <= c.parameters.items()}
        assert seeds == {0, 1, 2}, row


@pytest.mark.parametrize(
    ("text", "numbers"), [("0..4", [0, 1, 2, 3, 4]), ("3..3", [3]), ("7,5", [7, 5]), ("9", [9])]
)
def test_seeds(text, numbers):
    assert seeds(text) == numbers
    assert grid.from_options([f"seed={text}"]) == {"grid": {"seed": numbers}}


@pytest.mark.parametrize("text", ["4..0", "0...3", "a", "1,1", "", "-1", "0..", "1.5"])
def test_seeds_that_are_none(text):
    with pytest.raises(InputError, match=r"--seeds .*expected"):
        seeds(text)


@pytest.mark.parametrize(
    ("word", "parameter", "value"),
    [
        ("layers=[3],[4, 5]", "layers", [[3], [4, 5]]),
        ("layers=[3]", "layers", [[3]]),
        ("name='1'", "name", ["1"]),
        ("name=a b, c", "name", ["a b", "c"]),
        ("bound=None,2,1e-3", "bound", [None, 2.0, 0.001]),
    ],
)
def test_values_on_the_command_line(notebook, word, parameter, value):
    assert [c.parameters[parameter] for c in made(notebook(), word)] == value


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("taus=1", "did you mean 'tau'"),
        ("tau=much", "tau = 'much': expected a float value such as 0.03"),
        ("tau=True", "tau = True: expected a float"),
        ("tau=None", "tau = None: expected a float"),
        ("tau=1e999", "tau = inf"),
        ("tau=nan", "tau = 'nan'"),
        ("tau=[1]", r"tau = \[1\]"),
        ("seed=1.0", "seed = 1.0: expected a int"),
        ("seed=True", "seed = True: expected a int"),
        ("name=1", "name = 1: expected a str value such as 'plain'; put quotes"),
        ("layers=1", "layers = 1: expected a list"),
        ("layers=[(1,2)]", "layers = "),
        ("layers=(1,2)", "layers = "),
        ("out=a", "'out' can't be varied"),
        ("tau", "expected NAME=V1,V2"),
        ("tau=", "expected NAME=V1,V2"),
        ("tau=1 tau=2", "tau is given twice"),
    ],
)
def test_what_does_not_fit_the_notebook_is_refused(notebook, word, says):
    with pytest.raises(InputError, match=says):
        made(notebook(), *word.split())


def test_a_type_is_taken_from_the_default_if_none_is_said(notebook):
    book = notebook("print(a, b, c, out)", "a = 1\nb: list[float] = []\nc = None\nout = ''")
    with pytest.raises(InputError, match=r"a = 1.5: expected a int"):
        made(book, "a=1.5")
    with pytest.raises(InputError, match=r"b = 0.5: expected a list"):
        made(book, "b=0.5")
    assert values(made(book, "c=1,x"), "c") == [(1,), ("x",)]


@pytest.mark.parametrize(
    ("work", "parameters", "says"),
    [
        ("print(out)", "tau = 0.1\nout = ''", "never uses its parameter 'tau'"),
        ("tau = 1\nprint(out)", "tau = 0.1\nout = ''", "never uses its parameter 'tau'"),
        ("print(tau)", "tau = 0.1\nout = ''", "never uses its parameter 'out'"),
        ("print(tau)", "tau = 0.1", "no parameter 'out'"),
        ("print(tau, b, out)", "tau = 0.1\nb = 2 * tau\nout = ''", "computes with 'tau'"),
        ("1", "tau = 0.1 +", "isn't plain Python"),
    ],
)
def test_a_value_that_would_not_arrive_is_refused(notebook, work, parameters, says):
    with pytest.raises(InputError, match=says):
        made(notebook(work, parameters), "tau=1")


def test_a_use_in_magic_or_by_name_is_given_the_benefit_of_doubt(notebook):
    parameters = "tau: float = 0.1\nout: str = ''"
    assert made(notebook("%run other.py", parameters), "tau=1")
    assert made(notebook("print(globals())", parameters), "tau=1")


def test_a_file_that_is_no_notebook(tmp_path, notebook):
    path = tmp_path / "no.ipynb"
    path.write_text("no")
    with pytest.raises(InputError, match="not a readable notebook"):
        read(path)
    book = notebook()
    book.write_text(book.read_text().replace('"parameters"', '"other"'))
    with pytest.raises(InputError, match="0 cells tagged 'parameters'"):
        read(book)


# --- groups from a file -------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    def make(text):
        (tmp_path / "groups.yaml").write_text(text)
        return tmp_path / "groups.yaml"

    return make


def test_groups_share_a_cell_that_both_name(tmp_path, notebook, file):
    groups = from_file(
        file("""
radius:
  tau: [0, 0.03, 1e-3]
  seed: 0..1
size:
  layers: [[1, 2], [3]]
  fixed: {name: plain}
""")
    )
    book = read(notebook())
    cells = grid.cells(book, groups)
    shown = [(c.parameters["tau"], c.parameters["seed"], c.groups) for c in cells]
    assert shown == [
        (0.0, 0, ("radius",)),
        (0.0, 1, ("radius",)),
        (0.03, 0, ("radius", "size")),  # the default of all
        (0.03, 1, ("radius",)),
        (0.001, 0, ("radius",)),
        (0.001, 1, ("radius",)),
        (0.03, 0, ("size",)),
    ]
    columns = plan(book.path, groups, tmp_path / "s").columns
    assert columns == ("tau", "seed", "name", "layers")
    seeded = grid.cells(book, grid.with_seeds(groups, "5"))
    assert [c.parameters["seed"] for c in seeded] == [0, 1, 0, 1, 0, 1, 5, 5]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: {tau: [0], tau: [1]}", "tau stands twice"),
        ("a: {tau: [0]}\na: {tau: [1]}", "a stands twice"),
        ("a: {tau: [0], fixed: {tau: 1}}", "both varied and fixed"),
        ("a: {fixed: [1]}", r"group a, fixed: \[1\]: expected groups"),
        ("a: [1]", r"group a: \[1\]: expected groups"),
        ("[1]", "expected groups"),
        ("", "expected groups"),
        ("a: {tau: [0", "not readable as YAML"),
        ("a: !!python/object/apply:os.system [exit]", "not readable as YAML"),
        ("a: {tau: []}", r"tau = \[\] in group a: expected a list of values"),
        ("a: {tau: 0}", "tau = 0 in group a: expected a list"),
        ("a: {name: [yes]}", "name = True: expected a str"),
        ("a: {name: [2020-01-01]}", "expected a str"),
        ("a: {fixed: {tua: 1}}", "did you mean 'tau'"),
    ],
)
def test_files_that_are_refused(notebook, file, text, says):
    with pytest.raises(InputError, match=says):
        grid.cells(read(notebook()), from_file(file(text)))
