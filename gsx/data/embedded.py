"""The two data sets that travel with gsx (UCI, CC BY 4.0), as the file README.md beside them attributes them."""

from __future__ import annotations

import hashlib
import io
import math
from pathlib import Path

import numpy as np

from gsx.records import IntegrityError

FOLDER = Path(__file__).parent

SHA256 = {
    "digits": "3dbc42fdfe921a27e457be9e65170181610dae6cdb86bcc676e6851bc17bdd12",
    "breast_cancer": "d9faf18a454232e653bf98fcb13c7ff62060c741aa80ae438c7cf4c08fd2aecc",
}

ATTRIBUTION = {
    "digits": "E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, CC BY 4.0",
    "breast_cancer": "W. Wolberg, O. Mangasarian, N. Street and W. Street (1993), Breast Cancer Wisconsin (Diagnostic), "
    "UCI Machine Learning Repository, CC BY 4.0",
}


def read(name: str) -> tuple[np.ndarray, np.ndarray]:
    """``(inputs, labels)`` as they were published: digits as counts 0..16, breast cancer in its own units."""
    path = FOLDER / f"{name}.npz"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path}: {error.strerror}; it is a part of gsx: install gsx again") from error
    if hashlib.sha256(data).hexdigest() != SHA256[name]:
        raise IntegrityError(f"{path}: its sha256 is not the recorded one; it is a part of gsx: install gsx again")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return arrays["inputs"], arrays["labels"]


def standardise(inputs: np.ndarray) -> np.ndarray:
    """Every column with mean 0 and variance 1 (ddof 0).

    Sums by `math.fsum`, which rounds once: the bits, and so the digest, do not depend on how a machine orders its additions.
    """
    columns = []
    for column in inputs.T:
        centred = column - math.fsum(column) / len(column)
        columns.append(centred / math.sqrt(math.fsum(centred * centred) / len(column)))
    return np.stack(columns, axis=1)
