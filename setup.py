from pathlib import Path

from setuptools import find_packages, setup

# `youtube8m train`, and for each tool `youtube8m-train`; dashes may stand for the
# underscores of a tool's name.
_TOOLS = [path.stem for path in Path("youtube8m/tools").glob("[a-z]*.py")]
_COMMANDS = sorted({*_TOOLS, *(name.replace("_", "-") for name in _TOOLS)})
_MAIN = "youtube8m.cli.startup:main"
# Charts, and the JavaScript that draws them.
_REPORT = ["altair>=5.5", "vl-convert-python>=1.7"]

setup(
    name="youtube8m",
    version="1.0.0",
    description="Multi-label video classification on the features of YouTube-8M",
    license="Apache-2.0",
    packages=find_packages(include=["youtube8m", "youtube8m.*"]),
    package_data={
        "youtube8m.cli": ["help_texts/*.txt"],
        "youtube8m.data.labels": ["*.csv"],
        "youtube8m.layers": ["*.txt"],
        "youtube8m.reports": ["*.css", "*.js"],
    },
    entry_points={
        "console_scripts": [
            f"youtube8m = {_MAIN}",
            *(f"youtube8m-{name} = {_MAIN}" for name in _COMMANDS),
        ]
    },
    python_requires=">=3.11",
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.15,<3.16",
        "numpy",
        "pandas",
        "absl-py",
        "google-crc32c",  # the checksums of TFRecords
        "tensorboard",  # tf.summary refuses to write without it
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "parquet": ["pyarrow"],  # of inference.py --output_format=parquet
        "report": _REPORT,
        "test": [
            *("pytest", "pytest-xdist", "ruff", "hypothesis", "pyarrow", "av"),
            *(*_REPORT, "selenium"),  # drives a browser over reports
        ],
        "video": ["av"],  # decodes videos, for tools.extract_features
    },
)
