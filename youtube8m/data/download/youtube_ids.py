"""The videos on YouTube behind the ids of YouTube-8M's records.

    resolve(["AbCd", "EfGh"])          # {"AbCd": "dQw4w9WgXcQ", "EfGh": None}

Since 2018 a record's id is four characters, which data.yt8m.org translates one by one;
for a video that is deleted or private it has no answer. Answers are kept in a file with
a line `AbCd,dQw4w9WgXcQ` for each, or `EfGh,` where there is no video any more.
"""

import contextlib
import dataclasses
import os
import re
import time
from collections.abc import Iterable

from absl import logging

from youtube8m.config.fields import Config, flag
from youtube8m.data.download.addresses import Addresses
from youtube8m.data.download.transfer import NotFetched, Transfer
from youtube8m.errors import UserError, reason
from youtube8m.util.files import local_path
from youtube8m.util.progress import Progress
from youtube8m.util.text import decode_id, encode_id

RECORD_ID = re.compile("[0-9A-Za-z]{4}")
YOUTUBE_ID = re.compile("[0-9A-Za-z_-]{11}")
_LINE = re.compile(rf"({RECORD_ID.pattern}),((?:{YOUTUBE_ID.pattern})?)\n")
_ANSWER = re.compile(
    rf'\s*i\("({RECORD_ID.pattern})",\s*"({YOUTUBE_ID.pattern})"\);?\s*'
)
# The server's answers for a video that is not on YouTube.
_GONE = (403, 404, 410)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LookUpConfig(Config):
    """Where YouTube's ids are looked up, and where they are kept."""

    youtube_ids_cache: str = flag(
        "",
        "File that keeps the ids that were looked up; default "
        "~/.cache/youtube8m/youtube_ids.csv.",
    )
    base_url: str = flag(
        "", "A server of your own that answers URL/2/j/i/Ab/AbCd.js, for data.yt8m.org."
    )


def resolve(
    ids: Iterable[str], config: LookUpConfig | None = None
) -> dict[str, str | None]:
    """YouTube's id of each id, as `YoutubeIds(config).resolve` gives them."""
    return YoutubeIds(config or LookUpConfig()).resolve(ids)


class YoutubeIds:
    """Looks ids up, each of them once.

    Args:
      rate: look-ups a second, at most; what is in the cache is not looked up.
      options: of Transfer.

    Attributes:
      without_video: ids that were asked for and have no video any more.

    Raises UserError if the cache cannot be used.
    """

    def __init__(self, config: LookUpConfig, rate: float = 10.0, **options):
        self._addresses = Addresses(config.base_url)
        self._seconds, self._due = 1 / rate, 0.0
        self._transfer = Transfer(**options)
        folder = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        default = os.path.join(folder, "youtube8m", "youtube_ids.csv")
        path = config.youtube_ids_cache or default
        self._path = local_path(path, "--youtube_ids_cache")
        self.without_video: set[str] = set()
        with self._cache_errors():
            self._found = self._read_cache()

    def resolve(self, ids: Iterable[str]) -> dict[str, str | None]:
        """YouTube's id of each id; None where the video is deleted or private.

        An id of 11 characters, as before 2018 and in AudioSet, is YouTube's own. An id
        of another form has no video.

        Raises UserError if the server gives no answer, or the cache cannot be written.
        What was found until then is in the cache.
        """
        ids = list(dict.fromkeys(ids))
        wanted = [name for name in ids if RECORD_ID.fullmatch(name)]
        wanted = [name for name in wanted if name not in self._found]
        if wanted:
            with self._cache_errors():
                self._look_up(wanted)
        own = {name: name for name in ids if YOUTUBE_ID.fullmatch(name)}
        found = {n: own.get(n) or self._found.get(n) or None for n in ids}
        self.without_video |= {name for name, video in found.items() if not video}
        return found

    def replace(self, ids: Iterable[bytes]) -> list[bytes]:
        """The ids of a batch, YouTube's where there is a video."""
        names = [decode_id(name) for name in ids]
        found = self.resolve(names)
        return [encode_id(found[name] or name) for name in names]

    def warn_of_missing(self) -> None:
        """Logs how many of the ids have no video."""
        if self.without_video:
            logging.warning(
                "no video on YouTube for %d ids, such as %s, which stay as they are: "
                "deleted, private, or no ids of YouTube-8M",
                len(self.without_video),
                min(self.without_video),
            )

    @contextlib.contextmanager
    def _cache_errors(self):
        try:
            yield
        except OSError as error:
            raise UserError(
                f"--youtube_ids_cache={self._path}: cannot be used ({reason(error)}); "
                "name another file"
            ) from None

    def _read_cache(self):
        """{id: YouTube's, or ''}; a line that was cut by a process' end is none."""
        if not os.path.exists(self._path):
            return {}
        with open(self._path, encoding="utf-8", errors="replace") as file:
            return dict(m.groups() for m in map(_LINE.fullmatch, file) if m)

    def _look_up(self, ids):
        """Asks the server for each id, and appends the answers to the cache."""
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        with (
            open(self._path, "a", encoding="utf-8") as cache,
            Progress("looking up YouTube's ids", len(ids), "id") as progress,
        ):
            cache.write("\n" * self._is_cut())
            for done, name in enumerate(ids):
                progress.update(done)
                time.sleep(max(0.0, self._due - time.monotonic()))
                self._due = time.monotonic() + self._seconds
                url = self._addresses.youtube_id(name)
                self._found[name] = _ask(self._transfer, url, name)
                cache.write(f"{name},{self._found[name]}\n")
                cache.flush()

    def _is_cut(self):
        """Whether the cache ends amid a line."""
        with open(self._path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            return file.read() not in (b"", b"\n")


def _ask(transfer, url, name):
    """The server's answer, '' if the video is gone. Raises UserError if none comes."""
    try:
        answer = transfer.read(url).decode("utf-8", "replace")
    except NotFetched as error:
        if error.status in _GONE:
            return ""
        raise UserError(
            f"{url}: cannot be looked up: {error}; the same command goes on from there "
            "later, or leave --youtube_ids out"
        ) from None
    match = _ANSWER.fullmatch(answer)
    if not match or match[1] != name:
        raise UserError(
            f'{url}: answers {answer[:60]!r}; expected i("{name}","..."); name the '
            "right server with --base_url"
        )
    return match[2]
