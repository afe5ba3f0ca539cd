"""Fetches the files of a partition, several at once, and only what is missing.

download(DownloadConfig(partition="2/video/validate", shard="1,1000", directory="data"))
"""

import contextlib
import dataclasses
import functools
import os
import queue
import shutil
import threading

from absl import logging

from youtube8m.config.fields import Config, flag, require
from youtube8m.data.download.addresses import MIRRORS, PARTITIONS, Addresses
from youtube8m.data.download.meter import Meter
from youtube8m.data.download.plan import (
    PlannedFile,
    parse_partition,
    parse_plan,
    parse_shard,
)
from youtube8m.data.download.transfer import NotFetched, Stopped, Transfer
from youtube8m.data.download.verified import VerifiedFiles
from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.errors import UserError, reason
from youtube8m.util.files import local_path, renamed
from youtube8m.util.json import JsonError
from youtube8m.util.progress import Progress
from youtube8m.util.text import file_size

_SAMPLE = 16  # files whose size is asked for, to estimate the whole
_LISTED = 50  # missing files, at most, that are named


@dataclasses.dataclass(frozen=True, kw_only=True)
class DownloadConfig(Config):
    """What is fetched, from where and to where."""

    partition: str = flag(
        "",
        f"What to fetch, VERSION/LEVEL/SPLIT: {', '.join(PARTITIONS)}. Where it is not "
        "given, the environment's `partition` counts; so do `mirror` and `shard`.",
    )
    mirror: str = flag("us", f"The servers that are near: {', '.join(MIRRORS)}.")
    shard: str = flag("1,1", "X,Y: fetch the X-th of Y parts of the files alone.")
    directory: str = flag(".", "Where the files go; it is made if need be.")
    vocabulary: bool = flag(
        False, "Fetch vocabulary.csv, the names of the classes, too (or alone)."
    )
    jobs: int = flag(4, "Files fetched at once.")
    tries: int = flag(
        8,
        "Tries of a file in a row that bring nothing before it is given up, with "
        "growing pauses (two minutes in all).",
    )
    base_url: str = flag(
        "",
        "A mirror of your own: URL/2/download_plans/frame_train.json lists, and "
        "URL/us/2/frame/train/ has the files.",
    )

    def __post_init__(self):
        super().__post_init__()
        own = bool(Addresses(self.base_url).base_url)
        require(
            bool(self.partition) or self.vocabulary,
            f"--partition is empty; name one of {', '.join(PARTITIONS)}, or fetch "
            "--vocabulary alone",
        )
        if self.partition:
            partition = parse_partition(self.partition, any_version=own)
            object.__setattr__(self, "partition", partition)
        require(
            own or self.mirror in MIRRORS,
            f"--mirror={self.mirror}: must be one of {', '.join(MIRRORS)}",
        )
        parse_shard(self.shard)


def download(config: DownloadConfig, **options) -> None:
    """Fetches what the configuration names and the directory lacks.

    Args:
      options: of each Transfer.

    Raises UserError if anything is missing in the end, after a line for each file.
    """
    directory = local_path(config.directory, "--directory")
    try:
        os.makedirs(directory, exist_ok=True)
        if config.vocabulary:
            _fetch_vocabulary(config, directory, options)
        if config.partition:
            _Download(config, directory, options).run()
    except OSError as error:
        raise UserError(
            f"--directory={directory}: {error.filename or 'a file'} cannot be read or "
            f"written ({reason(error)}); when that is mended, the same command goes on"
        ) from None


def _fetch_vocabulary(config, directory, options):
    """Raises UserError unless a vocabulary is there in the end."""
    path = os.path.join(directory, "vocabulary.csv")
    if os.path.exists(path):
        with contextlib.suppress(UserError):
            read_vocabulary(path)
            logging.info("%s is there", path)
            return
        logging.warning("%s is no vocabulary, and is fetched again", path)
    url = Addresses(config.base_url).vocabulary()
    text = _read(url, config, options)
    with renamed(path) as temporary:
        with open(temporary, "wb") as file:
            file.write(text)
        try:
            count = len(read_vocabulary(temporary).names)
        except UserError as error:
            found = str(error).removeprefix(f"{temporary}: ")
            raise UserError(f"{url}: is no vocabulary: {found}") from None
    logging.info("wrote %s, the names of %d classes", path, count)


def _read(url, config, options):
    """What an address holds. Raises UserError if it cannot be had."""
    try:
        failed = functools.partial(logging.info, "%s: %s; trying again", url)
        return Transfer(config.tries, failed=failed, **options).read(url)
    except NotFetched as error:
        raise UserError(
            f"{url}: cannot be fetched: {error}; see whether a browser opens it, and "
            "try again later or name a mirror with --base_url"
        ) from None


class _Download:
    """One run over the files of a partition's part."""

    def __init__(self, config, directory, options):
        self._config, self._directory, self._options = config, directory, options
        self._addresses = Addresses(config.base_url)
        self._verified = VerifiedFiles(directory, config.partition)
        self._what = config.partition
        if config.shard != "1,1":
            self._what += f", shard {config.shard}"

    def run(self):
        """Raises UserError if files are missing in the end, or there is no room."""
        files = self._read_plan()
        self._num_files = len(files)
        missing = self._find_missing(files)
        if missing:
            self._meter = Meter(len(missing))
            self._estimate(missing)
            self._report(self._fetch(missing))
        if files:
            logging.info(
                "%s: all %d files are in %s", self._what, len(files), self._directory
            )

    def _read_plan(self) -> list[PlannedFile]:
        url = self._addresses.plan(self._config.partition)
        text = _read(url, self._config, self._options)
        try:
            files = parse_plan(text)
        except JsonError as error:
            raise UserError(f"{url}: is no list of files ({error})") from None
        shard = parse_shard(self._config.shard)
        chosen = [file for file in files if file.is_in(shard)]
        if not chosen:
            logging.info("none of the %d files is in %s", len(files), self._what)
        return chosen

    def _find_missing(self, files):
        """The files that are there under neither of their names."""
        missing, replaced = [], 0
        with Progress("checking", len(files), "file") as progress:
            for done, file in enumerate(files):
                progress.update(done)
                names = dict.fromkeys([file.local_name, file.name])
                if not any(self._verified.is_right(name, file.md5) for name in names):
                    missing.append(file)
                    replaced += os.path.exists(self._path(file))
        if replaced:
            logging.warning(
                "%d files are not what the plan says, and are fetched again", replaced
            )
        return missing

    def _estimate(self, missing):
        """Says what is to be fetched. Raises UserError if there is no room for it."""
        transfer = Transfer(**self._options)
        sample = missing[:: -(-len(missing) // _SAMPLE)]
        with Progress("asking for sizes", len(sample), "file") as progress:
            for done, file in enumerate(sample):
                progress.update(done)
                size = transfer.size(self._url(file))
                if size is None:
                    break
                self._meter.set_size(self._url(file), size)
        parts = [f"{self._path(file)}.part" for file in missing]
        here = sum(os.path.getsize(part) for part in parts if os.path.exists(part))
        total, free = self._meter.total, shutil.disk_usage(self._directory).free
        about = "about " * (len(missing) > _SAMPLE)
        size = f" ({about}{file_size(total)})" if total else ""
        logging.info(
            "%s: %d of %d files to fetch%s from %s to %s",
            self._what,
            len(missing),
            self._num_files,
            size,
            self._addresses.mirror(self._config.mirror),
            self._directory,
        )
        require(
            total - here <= free,
            f"--directory={self._directory}: {about}{file_size(total - here)} are to "
            f"be fetched, {file_size(free)} are free; fetch a part (--shard=1,100), or "
            "name another directory",
        )

    def _fetch(self, missing):
        """Fetches files; returns {file: reason} of those that are missing still."""
        tasks, results = queue.SimpleQueue(), queue.SimpleQueue()
        stop = threading.Event()
        for file in missing:
            tasks.put(file)
        # Daemons: Ctrl-C does not wait for a server's answer.
        for _ in range(min(self._config.jobs, len(missing))):
            arguments = (tasks, results, stop)
            threading.Thread(target=self._work, args=arguments, daemon=True).start()
        try:
            return self._collect(missing, results)
        finally:
            stop.set()

    def _work(self, tasks, results, stop):
        """Fetches files until there are no more; puts (file, error or None)."""
        transfer = Transfer(
            self._config.tries,
            stop=stop,
            received=self._meter.add_received,
            held=self._meter.add_held,
            sized=self._meter.set_size,
            failed=self._meter.set_trouble,
            **self._options,
        )
        with contextlib.suppress(queue.Empty, Stopped):
            while not stop.is_set():
                file, error = tasks.get_nowait(), None
                try:
                    transfer.fetch(self._url(file), self._path(file), file.md5)
                except Stopped:
                    raise
                except Exception as caught:  # the main thread raises it again
                    error = caught
                results.put((file, error))

    def _collect(self, missing, results):
        """{file: reason} of the failures, when no file or no answer is to come."""
        pending, failures, unanswered = dict.fromkeys(missing), {}, 0
        with self._meter as meter:
            while pending and unanswered < max(3, self._config.jobs):
                meter.show()
                with contextlib.suppress(queue.Empty):
                    file, error = results.get(timeout=0.2)
                    del pending[file]
                    if error is None:
                        self._verified.add(file.local_name, file.md5)
                        meter.num_done += 1
                    elif isinstance(error, NotFetched):
                        failures[file] = str(error)
                    else:
                        raise error
                    answered = error is None or error.is_final
                    unanswered = 0 if answered else unanswered + 1
        given_up = f"given up after {unanswered} others that the server did not give"
        return failures | dict.fromkeys(pending, given_up)

    def _report(self, failures):
        """Raises UserError, after a line for each file, if there are failures."""
        named = sorted(failures.items(), key=lambda item: item[0].local_name)
        for file, why in named[:_LISTED]:
            logging.warning("missing: %s (%s): %s", file.local_name, file.name, why)
        if len(named) > _LISTED:
            logging.warning("missing: %d more", len(named) - _LISTED)
        if named:
            raise UserError(
                f"{len(named)} of the {self._num_files} files of {self._what} are "
                f"missing in {self._directory}; the same command fetches them, and "
                "goes on with those that it has in part"
            )

    def _url(self, file):
        config = self._config
        return self._addresses.file(config.mirror, config.partition, file.name)

    def _path(self, file):
        return os.path.join(self._directory, file.local_name)
