"""Label correlation, a step after the classifier."""

from typing import Annotated

from keras import ops

from youtube8m.models.base import LABEL_PROCESSING, Part


@LABEL_PROCESSING.register
class LabelCorrelation(Part):
    """Predictions mixed with those of correlated labels.

        p' = clip(a p + b M p + g M' p, 0, 1)

    M [C, C] is fixed; M' starts as M and is trained. The trainer sets both from
    --label_correlation_file. The clip keeps p' in [0, 1].
    Source: Na et al. 2017, Table 3. Their code: LabelCorrelationMoeModel.

    Input shape: [B, C]. Output shape: [B, C].
    """

    reported_by = "na2017-labels-trained-0.01"

    def __init__(
        self,
        num_classes: int,
        correlation_alpha: Annotated[float, "Weight of the predictions (a)."] = 1.0,
        correlation_beta: Annotated[float, "Weight of the fixed matrix (b)."] = 0.0,
        correlation_gamma: Annotated[float, "Weight of the trained matrix (g)."] = 0.01,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.autocast = False  # predictions stay float32

    def build(self, input_shape):
        self.fixed = self.trained = None
        if self.correlation_beta:
            self.fixed = self._add_matrix("fixed", trainable=False)
        if self.correlation_gamma:
            self.trained = self._add_matrix("trained", trainable=True)

    def _add_matrix(self, name, trainable):
        return self.add_weight(
            shape=(self.num_classes, self.num_classes),
            initializer="zeros",
            trainable=trainable,
            name=name,
        )

    def set_label_correlation(self, matrix) -> None:
        """Sets M and M' to a matrix [C, C]."""
        for weight in filter(lambda w: w is not None, (self.fixed, self.trained)):
            weight.assign(matrix)

    def call(self, predictions):
        mixed = self.correlation_alpha * predictions
        for factor, matrix in (
            (self.correlation_beta, self.fixed),
            (self.correlation_gamma, self.trained),
        ):
            if matrix is not None:
                terms = ops.matmul(
                    ops.cast(predictions, self.compute_dtype),
                    ops.cast(ops.transpose(matrix), self.compute_dtype),
                )
                mixed = mixed + factor * ops.cast(terms, "float32")
        return ops.clip(mixed, 0.0, 1.0)
