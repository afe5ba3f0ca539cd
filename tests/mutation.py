"""How many small faults in a module its quick tests notice, by cosmic-ray's operators.

    python -m tests.mutation youtube8m/metrics.py tests/test_metrics.py
    python -m tests.mutation                      # every module of TESTS
    python -m tests.mutation youtube8m/losses.py  # with the tests that TESTS names

    python -m tests.mutation youtube8m/losses.py --only 3 12  # two of its mutants

Each mutant is run in a fork of a process that has loaded TensorFlow, but has run none
of its operations and has loaded nothing of the package. So it takes seconds, and no
file is changed. Needs `pip install cosmic-ray`. Mutants of annotations are left out,
and `is` for `==`, which is no fault between small numbers. Tests that start processes
(`tests.helpers.processes`) run the module without its fault there, so they notice none.
Options of pytest follow `--`: `python -m tests.mutation -- MODULE TESTS -k WORDS`.

A mutant that hangs counts as noticed. Its limit is in seconds of the processor, so that
a busy machine changes no share; the limit in seconds of the clock is for those that
wait for what never comes, and says so where it is reached.
"""

import argparse
import ast
import contextlib
import difflib
import gc
import importlib.abc
import importlib.metadata
import importlib.util
import linecache
import os
import pathlib
import random
import resource
import signal
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
PRELOADED = ("hypothesis", "keras", "pandas", "pytest", "tensorflow")
_SLOWER = 4  # times the processor's seconds without a fault: one that takes more hangs
_WAITS = 20  # times the clock's seconds without a fault

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
    "tests/data/reading/test_messages.py",
]
_CONFIG = ["tests/config", "-k", "not pinned"]
_RATINGS = ["tests/evaluation/test_segments.py", "-k", "not told_in_a_line"]
_RUNS = ["tests/evaluation/test_evaluator.py", "tests/prediction/test_inference.py"]
TESTS = {
    "youtube8m/metrics.py": ["tests/test_metrics.py"],
    "youtube8m/losses.py": ["tests/test_losses.py", "-k", _WITHOUT_RUNS],
    "youtube8m/evaluation/evaluator.py": [*_RUNS, "tests/tools/test_merge_shards.py"],
    "youtube8m/evaluation/segments.py": _RATINGS,
    "youtube8m/data/reading/batch.py": _PIPELINE,
    "youtube8m/data/reading/buffers.py": _PIPELINE[:1],
    "youtube8m/data/reading/damage.py": [*_RECORDS, *_PIPELINE],
    "youtube8m/data/reading/decoding.py": _PIPELINE[:1],
    "youtube8m/data/reading/first_records.py": _PIPELINE[1:],
    "youtube8m/data/reading/frame_decoding.py": [*_PIPELINE[:1], *_RECORDS[1:]],
    "youtube8m/data/reading/frame_sampling.py": [
        "tests/data/reading/test_frame_sampling.py"
    ],
    "youtube8m/data/reading/messages.py": _RECORDS[1:],
    "youtube8m/data/reading/order.py": ["tests/data/reading/test_order.py"],
    "youtube8m/data/reading/pipeline.py": _PIPELINE[1:],
    "youtube8m/data/reading/released_crops.py": _PIPELINE[:1],
    "youtube8m/data/reading/segment_decoding.py": _PIPELINE[:1],
    "youtube8m/data/reading/shard_files.py": ["tests/data/reading/test_shard_files.py"],
    "youtube8m/data/reading/survey.py": ["tests/data/reading/test_survey.py"],
    "youtube8m/data/reading/tfrecord.py": _RECORDS[:1],
    "youtube8m/data/reading/video_decoding.py": _PIPELINE[:1],
    "youtube8m/data/labels/cooccurrence.py": ["tests/data/labels/test_cooccurrence.py"],
    "youtube8m/data/labels/ratings.py": _RATINGS,
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
    "youtube8m/prediction/segment_ranking.py": [
        "tests/prediction/test_segment_ranking.py"
    ],
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
    "youtube8m/layers/frame_selection.py": ["tests/layers/test_frame_selection.py"],
    "youtube8m/layers/normalization.py": ["tests/layers/test_normalization.py"],
    "youtube8m/layers/targets.py": [
        "tests/layers/test_targets.py",
        "tests/test_losses.py",
        "-k",
        "multi_hot or once or epsilon or test_cross_entropy",
    ],
    "youtube8m/optimizers.py": ["tests/test_optimizers.py"],
    "youtube8m/models/preset.py": ["tests/models/test_presets.py"],
    "youtube8m/config/data.py": _CONFIG,
    "youtube8m/config/fields.py": ["tests/config"],
    "youtube8m/config/model.py": _CONFIG,
    "youtube8m/config/trained_run.py": ["tests/config"],
    "youtube8m/training/config.py": ["tests/config"],
    "youtube8m/training/reports.py": ["tests/training/test_reports.py"],
    "youtube8m/training/resume.py": ["tests/training/test_resume.py"],
    "youtube8m/training/saver.py": ["tests/training/test_saver.py"],
    "youtube8m/training/steps.py": ["tests/training/test_updates.py"],
    "youtube8m/training/warm_start.py": ["tests/training/test_warm_start.py"],
    "youtube8m/runs/best.py": ["tests/runs/test_best.py"],
    "youtube8m/runs/checkpoint_files.py": [
        "tests/runs/test_checkpoint_files.py",
        "tests/runs/test_starter_code.py",
        "-k",
        "checkpoint or director or link or copies",
    ],
    "youtube8m/runs/directory.py": ["tests/runs/test_directory.py"],
    "youtube8m/runs/weights.py": ["tests/runs/test_weights.py"],
    "youtube8m/cli/data_flags.py": ["tests/cli/test_data_flags.py"],
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
        lines = self.source.splitlines(keepends=True)
        # AutoGraph compiles the functions that it reads here.
        linecache.cache[module.__file__] = len(self.source), None, lines, self.name
        exec(compile(self.source, module.__file__, "exec"), module.__dict__)


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
            annotates = any(a <= start and end <= b for a, b in annotations)
            if not annotates and not (
                name == "ExceptionReplacer" and _has_dots(source, start)
            ):
                found.append((operator, occurrence))
    return found


def _has_dots(source, start):
    """Whether that line has a dot; `except` of a name with one breaks cosmic-ray."""
    return "." in source.split("\n")[start[0] - 1]


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


class _Limits(NamedTuple):
    """Seconds of the processor and of the clock that a run of the tests may take."""

    processor: int = 600
    clock: int = 3600


class _Run(NamedTuple):
    """How a run of the tests ended."""

    passed: bool
    processor: float = 0
    waited: bool = False  # for longer than the clock's limit


def _run_tests(path, source, tests, limits):
    """Runs the tests where the module `path` has this source."""
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (limits.processor, limits.processor))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with open(os.devnull, "w") as nothing, tempfile.TemporaryDirectory() as folder:
            for stream in (1, 2):
                os.dup2(nothing.fileno(), stream)
            sys.meta_path.insert(0, _Mutated(path, source))
            options = ("-x", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}/t")
            status = 1
            with contextlib.suppress(BaseException):
                status = sys.modules["pytest"].main([*options, *tests])
        os._exit(int(status))
    deadline = time.monotonic() + limits.clock
    while time.monotonic() < deadline:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            return _Run(status == 0, used.ru_utime + used.ru_stime)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return _Run(passed=False, waited=True)


def _difference(source, changed):
    """The lines that differ, shortly."""
    lines = difflib.unified_diff(source.split("\n"), changed.split("\n"), n=0)
    lines = list(lines)[2:]
    return "\n".join(f"    {line}" for line in lines if line.strip())


def _limits(path, source, tests):
    """The limits of a mutant, from a run without a fault."""
    began = time.monotonic()
    run = _run_tests(path, source, tests, _Limits())
    if not run.passed:
        sys.exit(f"{path}: the tests {' '.join(tests)} fail without a fault")
    seconds = time.monotonic() - began
    print(
        f"{path}: {seconds:.0f} s, of the processor {run.processor:.0f} s", flush=True
    )
    return _Limits(10 + round(_SLOWER * run.processor), 60 + round(_WAITS * seconds))


def measure(path: str, tests: list[str], most: int, seed: int, only: list[int]) -> str:
    """Tries at most `most` mutants; prints those that pass; returns a table's row.

    `only` are the numbers, as printed, of those to try; all where it is empty.
    """
    from cosmic_ray.mutating import mutate_code

    source = (ROOT / path).read_text()
    limits = _limits(path, source, tests)
    every = faults(source)
    drawn = random.Random(seed).sample(every, min(most, len(every)))
    tried = only or range(len(drawn))
    noticed = 0
    for number in tried:
        changed = mutate_code(source, *drawn[number])
        run = _run_tests(path, changed, tests, limits)
        noticed += not run.passed
        if run.passed or run.waited:
            how = "not noticed" if run.passed else f"waits over {limits.clock} s"
            difference = _difference(source, changed)
            print(f"{path}: {number} {how}\n{difference}", flush=True)
    share = round(100 * noticed / max(len(tried), 1))
    return f"| {path} | {len(every)} | {len(tried)} | {noticed} ({share} %) |"


def preload() -> None:
    """Loads what no mutant changes, which takes a fork longest."""
    for name in PRELOADED:
        importlib.import_module(name)
    for plugin in importlib.metadata.entry_points(group="pytest11"):
        plugin.load()
    gc.freeze()  # pytest collects garbage, and would look at all of it in each fork


def main() -> None:
    """Measures the modules that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("module", nargs="?")
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--most", type=int, default=40, help="mutants a module")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of mutants")
    parser.add_argument("--only", type=int, nargs="*", default=[], help="these mutants")
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    preload()
    os.chdir(ROOT)
    for module in [given.module] if given.module else TESTS:
        tests = given.tests or TESTS[module]
        row = measure(module, tests, given.most, given.seed, given.only)
        print(row, flush=True)


if __name__ == "__main__":
    main()
