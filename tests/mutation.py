"""How many small faults in a module its quick tests notice, by cosmic-ray's operators.

    python -m tests.mutation youtube8m/metrics.py tests/test_metrics.py
    python -m tests.mutation                      # every module of TESTS
    python -m tests.mutation youtube8m/losses.py  # with the tests that TESTS names

Each mutant is run in a fork of a process that has loaded TensorFlow, but has run none
of its operations and has loaded nothing of the package. So it takes seconds, and no
file is changed. Needs `pip install cosmic-ray`. Mutants of annotations are left out,
and `is` for `==`, which is no fault between small numbers.
"""

import argparse
import ast
import contextlib
import difflib
import importlib.abc
import importlib.util
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PRELOADED = ("hypothesis", "keras", "pandas", "pytest", "tensorflow")
_SLOWER = 4  # times the seconds without a fault: one that takes longer hangs

# One usual fault of each kind; cosmic-ray's ten for each `+` are noticed alike.
OPERATORS = (
    *("ReplaceBinaryOperator_Add_Sub", "ReplaceBinaryOperator_Sub_Add"),
    *("ReplaceBinaryOperator_Mul_Div", "ReplaceBinaryOperator_Div_Mul"),
    *("ReplaceBinaryOperator_FloorDiv_Div", "ReplaceBinaryOperator_Mod_FloorDiv"),
    *("ReplaceBinaryOperator_Pow_Mul", "ReplaceBinaryOperator_BitXor_BitOr"),
    *("ReplaceBinaryOperator_BitOr_BitAnd", "ReplaceBinaryOperator_BitAnd_BitOr"),
    *("ReplaceBinaryOperator_LShift_RShift", "ReplaceBinaryOperator_RShift_LShift"),
    *("ReplaceComparisonOperator_Eq_NotEq", "ReplaceComparisonOperator_NotEq_Eq"),
    *("ReplaceComparisonOperator_Lt_LtE", "ReplaceComparisonOperator_LtE_Lt"),
    *("ReplaceComparisonOperator_Gt_GtE", "ReplaceComparisonOperator_GtE_Gt"),
    *("ReplaceComparisonOperator_Is_IsNot", "ReplaceComparisonOperator_IsNot_Is"),
    *("ReplaceUnaryOperator_Delete_USub", "ReplaceUnaryOperator_Delete_Invert"),
    *("ReplaceUnaryOperator_Delete_Not", "AddNot", "NumberReplacer"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue"),
    *("ReplaceAndWithOr", "ReplaceOrWithAnd", "ZeroIterationForLoop"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak"),
    *("ExceptionReplacer", "RemoveDecorator"),
)

# Module -> the quick tests that concern it.
_WITHOUT_RUNS = "not resum and not descriptor and not row and not nothing"
_PIPELINE = [
    "tests/data/reading/test_decoding.py",
    "tests/data/reading/test_pipeline.py",
]
_RECORDS = [
    "tests/data/reading/test_tfrecord.py",
    "tests/data/reading/test_tfrecord_messages.py",
]
_RUNS = ["tests/evaluation/test_evaluator.py", "tests/prediction/test_inference.py"]
TESTS = {
    "youtube8m/metrics.py": ["tests/test_metrics.py"],
    "youtube8m/losses.py": ["tests/test_losses.py", "-k", _WITHOUT_RUNS],
    "youtube8m/evaluation/evaluator.py": [*_RUNS, "tests/tools/test_merge_shards.py"],
    "youtube8m/evaluation/segments.py": ["tests/evaluation/test_segments.py"],
    "youtube8m/data/reading/batch.py": _PIPELINE,
    "youtube8m/data/reading/damage.py": [*_RECORDS, *_PIPELINE],
    "youtube8m/data/reading/decoding.py": _PIPELINE[:1],
    "youtube8m/data/reading/frame_sampling.py": [
        "tests/data/reading/test_frame_sampling.py"
    ],
    "youtube8m/data/reading/order.py": ["tests/data/reading/test_order.py"],
    "youtube8m/data/reading/pipeline.py": _PIPELINE[1:],
    "youtube8m/data/reading/survey.py": ["tests/data/reading/test_survey.py"],
    "youtube8m/data/reading/tfrecord.py": _RECORDS,
    "youtube8m/data/labels/cooccurrence.py": ["tests/data/labels/test_cooccurrence.py"],
    "youtube8m/data/labels/ratings.py": ["tests/evaluation/test_segments.py"],
    "youtube8m/data/labels/video_labels.py": ["tests/prediction/test_ensemble.py"],
    "youtube8m/data/labels/vocabulary.py": ["tests/data/labels/test_vocabulary.py"],
    "youtube8m/data/writing/records.py": [
        "tests/data/writing/test_synthetic.py",
        "tests/data/reading/test_decoding.py",
    ],
    "youtube8m/data/writing/synthetic.py": ["tests/data/writing/test_synthetic.py"],
    "youtube8m/prediction/ensemble.py": ["tests/prediction/test_ensemble.py"],
    "youtube8m/prediction/inference.py": _RUNS[::-1],
    "youtube8m/prediction/predictor.py": _RUNS[::-1],
    "youtube8m/prediction/segmentation.py": ["tests/prediction/test_segmentation.py"],
    "youtube8m/prediction/submission.py": [
        "tests/prediction/test_submission.py",
        "tests/prediction/test_ensemble.py",
    ],
    "youtube8m/tools/convert_prediction_from_json_to_csv.py": [
        "tests/tools/test_convert_prediction.py"
    ],
    "youtube8m/tools/ensemble.py": ["tests/prediction/test_ensemble.py"],
    "youtube8m/tools/merge_shards.py": ["tests/tools/test_merge_shards.py"],
    "youtube8m/util/frame_indices.py": ["tests/util/test_frame_indices.py"],
}


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module of the package from a changed source."""

    def __init__(self, path: str, source: str):
        self.name = path.removesuffix(".py").replace("/", ".")
        self.path, self.source = path, source

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        spec = importlib.util.spec_from_loader(name, self, origin=self.path)
        spec.has_location = True
        return spec

    def exec_module(self, module):
        module.__file__ = str(ROOT / self.path)
        exec(compile(self.source, self.path, "exec"), module.__dict__)


def faults(source: str) -> list[tuple]:
    """(operator, its occurrence in the source) of each mutant."""
    from cosmic_ray import ast as cosmic_ast
    from cosmic_ray import plugins

    annotations = _annotation_spans(source)
    nodes = list(cosmic_ast.ast_nodes(cosmic_ast.get_ast(source)))
    found = []
    for name in OPERATORS:
        operator = plugins.get_operator(f"core/{name}")()
        positions = [p for node in nodes for p in operator.mutation_positions(node)]
        for occurrence, (start, end) in enumerate(positions):
            if not any(a <= start and end <= b for a, b in annotations):
                found.append((operator, occurrence))
    return found


def _annotation_spans(source):
    """(line, column) of the start and end of each annotation."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            part = getattr(node, name, None)
            if isinstance(part, ast.AST):
                start = part.lineno, part.col_offset
                found.append((start, (part.end_lineno, part.end_col_offset)))
    return found


def _run_tests(path, source, tests, limit=600):
    """Whether the tests pass where the module `path` has this source.

    They fail where they take longer than `limit` seconds.
    """
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        with open(os.devnull, "w") as nothing, tempfile.TemporaryDirectory() as folder:
            for stream in (1, 2):
                os.dup2(nothing.fileno(), stream)
            sys.meta_path.insert(0, _Mutated(path, source))
            options = ("-x", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}/t")
            status = 1
            with contextlib.suppress(BaseException):
                status = sys.modules["pytest"].main([*options, *tests])
        os._exit(int(status))
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _difference(source, changed):
    """The lines that differ, shortly."""
    lines = difflib.unified_diff(source.split("\n"), changed.split("\n"), n=0)
    lines = list(lines)[2:]
    return "\n".join(f"    {line}" for line in lines if line.strip())


def measure(path: str, tests: list[str], most: int, seed: int) -> str:
    """Tries at most `most` mutants; prints those that pass; returns a table's row."""
    from cosmic_ray.mutating import mutate_code

    source = (ROOT / path).read_text()
    began = time.monotonic()
    if not _run_tests(path, source, tests):
        sys.exit(f"{path}: the tests {' '.join(tests)} fail without a fault")
    limit = 10 + _SLOWER * (time.monotonic() - began)
    every = faults(source)
    tried = random.Random(seed).sample(every, min(most, len(every)))
    unnoticed = []
    for operator, occurrence in tried:
        changed = mutate_code(source, operator, occurrence)
        if _run_tests(path, changed, tests, limit):
            unnoticed.append(changed)
            print(f"{path}: not noticed\n{_difference(source, changed)}", flush=True)
    noticed = len(tried) - len(unnoticed)
    share = round(100 * noticed / max(len(tried), 1))
    return f"| {path} | {len(every)} | {len(tried)} | {noticed} ({share} %) |"


def main() -> None:
    """Measures the modules that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("module", nargs="?")
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--most", type=int, default=40, help="mutants a module")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of mutants")
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in PRELOADED:
        importlib.import_module(name)
    os.chdir(ROOT)
    for module in [given.module] if given.module else TESTS:
        tests = given.tests or TESTS[module]
        print(measure(module, tests, given.most, given.seed), flush=True)


if __name__ == "__main__":
    main()
