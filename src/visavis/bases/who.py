"""Who is on some photos, as generators are told: recogniser A's vector, or that of the recogniser which the authors of
published weights used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from visavis.core import weights
from visavis.core.devices import onnx_session
from visavis.core.errors import InputError
from visavis.core.types import Face
from visavis.faces.analyse import embed_faces
from visavis.faces.score import standardised


def vector(faces: Sequence[Face], recogniser: str = "", length: int = 0) -> Tensor:
    """float32 [D], the mean over one person's photos: A's, standardised and of raw length (D = 128); or what an ONNX
    file of the user's reads off ArcFace crops, (pixel - 127.5) / 127.5 RGB [N, 3, 112, 112]. length: D, where another
    one cannot be used. Raises InputError where the file gives something else."""
    if not recogniser:
        return torch.from_numpy(standardised(embed_faces(faces), raw=True).mean(0))
    session = onnx_session(weights.user_file(recogniser), threads=1)
    crops = np.stack([face.crop("recognise").pixels for face in faces]).astype(np.float32)
    given = {session.get_inputs()[0].name: ((crops - 127.5) / 127.5).transpose(0, 3, 1, 2)}
    try:
        (made, *_) = session.run(None, given)
    except Exception as error:  # onnxruntime's errors have no common base
        raise InputError(f"{recogniser} does not read crops [N, 3, 112, 112]: {str(error)[:120]}") from error
    if length and np.shape(made)[1:] != (length,):
        raise InputError(f"{recogniser} does not give the {length} numbers of a face that these weights read.")
    return torch.from_numpy(np.asarray(made, np.float32).mean(0))


def check_recogniser(published: str, recogniser: str) -> None:
    """The authors' weights know vectors of their own recogniser only, ours those of A; InputError for another one."""
    if published and not recogniser:
        raise InputError(
            "The authors' weights read vectors of their own recogniser: name its ONNX file by --recogniser."
        )
    if recogniser and not published:
        raise InputError("--recogniser goes with --published: the weights that ship read recogniser A.")
