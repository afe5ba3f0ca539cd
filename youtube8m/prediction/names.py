"""Predictions as a person reads them: a small table with the names of the classes.

preview = Preview(vocabulary)
preview.add(predictions)
print(preview.table())

id    confidence  class  name        vertical
aAbc  0.99        3      Video game  Games
      0.45        17     Cooking     Food & Drink
"""

from youtube8m.data.labels.vocabulary import Vocabulary
from youtube8m.prediction.formats import id_to_text
from youtube8m.prediction.predictions import Predictions
from youtube8m.util.text import aligned, shortened

_ROWS, _CLASSES = 5, 5  # that are shown
_WIDTH = 40  # of a name


def class_name(vocabulary: Vocabulary, class_id: int) -> str:
    """The name of a class; 'class 17' if it has none."""
    return vocabulary.names[class_id] or f"class {class_id}"


class Preview:
    """The first rows of some predictions, with the best classes of each.

    Args:
      rows, classes: how many at most, of all and of each row.
    """

    def __init__(
        self, vocabulary: Vocabulary, rows: float = _ROWS, classes: int = _CLASSES
    ):
        self._vocabulary, self._limits = vocabulary, (rows, classes)
        self._rows: list[tuple] = []

    def add(self, predictions: Predictions) -> None:
        """Keeps rows until there are enough."""
        limit, _ = self._limits
        for row in predictions.rows() if len(self._rows) < limit else ():
            if len(self._rows) == limit:
                break
            self._rows.append(row)

    def table(self) -> str:
        """A line for each class; those of a video lie below its id."""
        of_segments = any(start is not None for _, start, *_ in self._rows)
        head = ("id", *["second"] * of_segments)
        _, limit = self._limits
        lines = [(*head, "confidence", "class", "name", "vertical")]
        for video_id, start, classes, scores in self._rows:
            first = (shortened(id_to_text(video_id)), *[str(start)] * of_segments)
            best = list(zip(classes[:limit].tolist(), scores, strict=False))
            for class_id, score in best or [(None, None)]:
                lines.append((*first, *self._cells(class_id, score)))
                first = ("",) * len(head)
        lines = [[" ".join(cell.splitlines()) for cell in line] for line in lines]
        return "\n".join(aligned(lines, numbers=(len(head), len(head) + 1)))

    def _cells(self, class_id, score):
        if class_id is None:
            return "", "", "no class is listed", ""
        vertical = self._vocabulary.vertical_of[class_id]
        vertical = self._vocabulary.verticals[vertical] if vertical >= 0 else ""
        name = shortened(class_name(self._vocabulary, class_id), _WIDTH)
        return f"{score:.2f}", str(class_id), name, vertical
