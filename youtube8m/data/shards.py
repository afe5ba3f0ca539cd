"""TFRecord files: finding them, reading them side by side, outliving damage.

    paths = find_shards("/data/train*.tfrecord, /data/validate*.tfrecord", "--flag")
    records = read_shards(paths, num_readers=8, damage=Damage())
    # -> tf.data.Dataset of (origin int64, serialized string)

A TFRecord is: length (8 bytes), its masked CRC-32C (4), data, the data's CRC (4).
tf.data checks both sums and gives up the rest of a file at the first bad one; here
the readable records behind it are found again.
"""

import contextlib
import functools
import inspect
import os
import struct
import tempfile

import numpy as np
import tensorflow as tf

from youtube8m.data.damage import Damage
from youtube8m.errors import UserError

_READ_BUFFER = 2 << 20  # bytes; per-record system calls cost more than copying
_CHUNK_BYTES = 4 << 20  # records handled together share the cost of a function call
_CHUNK_RECORDS = (16, 256)  # at least and at most
_END = b"\0youtube8m: end of shard"  # no SequenceExample starts with a zero byte
_HEADER, _FOOTER = 12, 4
_FILE_BITS, _INDEX_BITS = 20, 28  # of an origin; the rest counts epochs
_SEARCH_BLOCK = 4 << 20


def find_shards(pattern: str, flag: str) -> list[str]:
    """The files that comma-separated globs match, sorted within each glob.

    Raises:
      UserError: a glob matches nothing.
    """
    paths: list[str] = []
    for glob in filter(None, (part.strip() for part in pattern.split(","))):
        glob = os.path.expanduser(glob)
        found = sorted(p for p in tf.io.gfile.glob(glob) if not tf.io.gfile.isdir(p))
        if not found:
            raise UserError(
                f"{flag}={glob}: no file matches; check the path, and quote the glob "
                "so that the shell does not expand it"
            )
        paths.extend(found)
    return list(dict.fromkeys(paths))


def read_shards(
    paths, num_readers: int, damage: Damage, order=None, epoch=0, record_bytes=None
):
    """All records of `paths`, `num_readers` files interleaved, in a fixed order.

    Args:
      paths: list of file names.
      damage: told of what cannot be read, and where.
      order: int64 tensor [n], the order of the files; default as given.
      epoch: int or int64 scalar, noted in each record's origin.
      record_bytes: about the size of a record; default that of full-size videos.
        Readers take turns after 4 MB, or 16 to 256 records.

    Returns:
      Dataset of (origin int64, serialized string); see `unpack_origin`.
    """
    order = tf.range(len(paths), dtype=tf.int64) if order is None else order
    table = tf.constant(paths)
    prefix = tf.cast(epoch, tf.int64) * 2**_FILE_BITS
    least, most = _CHUNK_RECORDS
    chunk = least if record_bytes is None else _CHUNK_BYTES // max(1, record_bytes)
    chunk = min(max(chunk, least), most)
    read = functools.partial(_read_shard, chunk=chunk, damage=damage)
    files = tf.data.Dataset.from_tensor_slices(order).map(
        lambda file: ((prefix + file) * 2**_INDEX_BITS, table[file])
    )
    if num_readers == 1:
        return files.flat_map(read).unbatch()
    return files.interleave(
        read,
        cycle_length=num_readers,
        num_parallel_calls=min(num_readers, os.cpu_count() or 1),
        deterministic=True,
    ).unbatch()


def unpack_origin(origin):
    """(epoch, file, index) of int64 origins, as numpy arrays or tensors."""
    index = origin % 2**_INDEX_BITS
    file = origin // 2**_INDEX_BITS % 2**_FILE_BITS
    return origin // 2 ** (_INDEX_BITS + _FILE_BITS), file, index


def _read_shard(origin, path, chunk, damage):
    """Chunks of one file's records; the last is completed by `_finish_shard`.

    A Python function, or even a tf.function, called for each record would cost as
    much as reading it, hence the chunks. `position` counts the bytes delivered, so
    that the end of a sound file is known without reading it again.
    """
    paths = tf.ensure_shape(tf.numpy_function(_if_readable, [path], tf.string), [None])
    records = tf.data.TFRecordDataset(paths, buffer_size=_READ_BUFFER).ignore_errors()
    ended = records.concatenate(tf.data.Dataset.from_tensors(_END))
    numbers = tf.data.Dataset.range(origin, origin + 2**_INDEX_BITS)
    chunks = tf.data.Dataset.zip(numbers, ended).batch(chunk)
    finish = functools.partial(_finish_shard, damage=damage)

    def complete(position, numbered):
        origins, found = numbered
        sizes = tf.cast(tf.strings.length(found), tf.int64) + (_HEADER + _FOOTER)
        after = position + tf.reduce_sum(sizes)
        outputs = tf.cond(
            tf.equal(found[-1], _END),
            lambda: tf.numpy_function(
                finish, [path, origins, found, after - sizes[-1]], [tf.int64, tf.string]
            ),
            lambda: [origins, found],
        )
        return after, tuple(tf.ensure_shape(output, [None]) for output in outputs)

    return chunks.scan(tf.constant(0, tf.int64), complete)


def _if_readable(path):
    """[path], or [] if it does not open, which ignore_errors would retry for ever."""
    try:
        with _open(path.decode()) as file:
            file.read(1)
    except (OSError, tf.errors.OpError):
        return np.array([], object)  # `_finish_shard` meets the same error
    return np.array([path], object)


def _finish_shard(path, origins, chunk, position, damage):
    """The last chunk of a file, without the end mark, with what was recovered.

    Args:
      position: where in the file the chunk's last record ends.
    """
    path, good = path.decode(), list(chunk[:-1])
    _, _, index = unpack_origin(int(origins[-1]))
    try:
        good.extend(_records_after(path, position, index, damage))
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", error)
        damage.record(path, f"cannot be read ({reason})")
    return origins[0] + np.arange(len(good)), np.array(good, dtype=object)


def _records_after(path, position, index, damage):
    """Yields the readable records behind `position`, where tf.data stopped."""
    size = tf.io.gfile.stat(path).length
    if size == 0:
        damage.record(path, "is empty", count=0)
    if position < size:
        with _open(path) as file:
            yield from _recover(path, file, position, size, index, damage)


def _open(path):
    # Python's own file is several times faster than GFile on local disks.
    return open(path, "rb") if os.path.exists(path) else tf.io.gfile.GFile(path, "rb")


def _recover(path, file, position, size, index, damage):
    """Yields the readable records from `position` on, reporting what lies between."""
    with tempfile.NamedTemporaryFile() as scratch:
        while position < size:
            record = _sound_record(file, position, scratch)
            if record is not None:
                yield record
                position += _HEADER + len(record) + _FOOTER
            else:
                following = _next_header(file, position, size)
                what = f"record {index} at byte {position} is damaged"
                if following == size:
                    what += f", nothing readable in the last {size - position} bytes"
                damage.record(path, what)
                position = following
            index += 1


def _sound_record(file, position, scratch):
    """The record at `position` if both its checksums hold, else None.

    TensorFlow's plain iterator checks them, over a file of this one record. A tf.data
    pipeline would do so from any offset, but must not run inside another's function:
    both wait for the same threads.
    """
    file.seek(position)
    header = file.read(_HEADER)
    checked = _valid_headers(np.frombuffer(header, np.uint8), np.inf)
    if not checked.any():
        return None
    (length,) = struct.unpack("<Q", header[:8])
    scratch.seek(0)
    scratch.truncate()
    scratch.write(header + file.read(length + _FOOTER))
    scratch.flush()
    # Unwrapped, as the function would announce that tf.data is preferred.
    iterate = inspect.unwrap(tf.compat.v1.io.tf_record_iterator)
    with contextlib.suppress(tf.errors.DataLossError):
        return next(iterate(scratch.name), None)


def _next_header(file, position, size):
    """Where the next record starts after the damaged one at `position`."""
    for block in range(position, size, _SEARCH_BLOCK):
        file.seek(block)
        data = np.frombuffer(file.read(_SEARCH_BLOCK + _HEADER), np.uint8)
        starts = np.flatnonzero(_valid_headers(data, size - block))
        if block == position and starts.size and starts[0] == 0:
            # The header is sound, only the data is not: skip just this record.
            (length,) = struct.unpack("<Q", data[:8].tobytes())
            return position + _HEADER + length + _FOOTER
        if starts.size:
            return block + int(starts[0])
    return size


def _valid_headers(data, remaining):
    """bool [n]: which offsets hold a length and its checksum, `remaining` allowing."""
    count = data.size - _HEADER + 1
    if count <= 0:
        return np.zeros(0, bool)
    windows = np.lib.stride_tricks.sliding_window_view(data, _HEADER)[:count]
    # Lengths below 2^32: filters all but a few offsets before any checksum.
    candidates = np.flatnonzero(~windows[:, 4:8].any(axis=1))
    headers = np.ascontiguousarray(windows[candidates])
    lengths = headers[:, :8].copy().view("<u8")[:, 0]
    sums = headers[:, 8:12].copy().view("<u4")[:, 0]
    fits = candidates + lengths.astype(np.int64) + _HEADER + _FOOTER <= remaining
    valid = np.zeros(count, bool)
    valid[candidates[fits & (_masked_crc32c(headers[:, :8]) == sums)]] = True
    return valid


def _crc_table():
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ np.where(table & 1, np.uint32(0x82F63B78), np.uint32(0))
    return table


_CRC_TABLE = _crc_table()


def _masked_crc32c(rows):
    """uint32 [n]: TFRecord's masked CRC-32C of each row of uint8 [n, k]."""
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in rows.T:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ column) & 0xFF]
    crc = ~crc
    return ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)
