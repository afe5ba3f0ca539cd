from setuptools import find_packages, setup

setup(
    name="youtube8m",
    version="1.0.0",
    description="Multi-label video classification on the features of YouTube-8M",
    license="Apache-2.0",
    packages=find_packages(include=["youtube8m", "youtube8m.*"]),
    entry_points={"console_scripts": ["youtube8m = youtube8m.cli.startup:main"]},
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
        "test": ["pytest", "ruff", "hypothesis"],
    },
)
