"""The C2PA manifest in a made picture: that it was made by AI, with what, signed by this installation's own key.

The key is made at first use. Nobody vouches for it, so other programs will say that they do not know the signer.
"""

from __future__ import annotations

import datetime
import importlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from visavis.core.errors import InputError, missing_extra
from visavis.core.files import locked, write_whole
from visavis.core.settings import private_folder, settings
from visavis.core.signals import held
from visavis.media import formats, paths
from visavis.media.write import write_bytes

SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
MADE, EDITED = SOURCE + "trainedAlgorithmicMedia", SOURCE + "compositeWithTrainedAlgorithmicMedia"
LABEL, ACTIONS = "org.visavis.output", "c2pa.actions.v2"
# Of a run's facts only these are signed into the picture: nothing that tells who is on it.
SIGNED = ("task", "system", "base", "weights", "seed", "date")
MIME = {"PNG": "image/png", "JPEG": "image/jpeg"}
YEARS = 20  # without a time stamp a signature ends with its certificate
UNTRUSTED = "signingCredential.untrusted"
ROOT = "visavis on this machine: root"
EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"  # what C2PA asks of a signer's certificate
END_OF_KEY = "-----END PRIVATE KEY-----\n"
END_OF_CERTIFICATE = "-----END CERTIFICATE-----\n"


@dataclass(frozen=True)
class Manifest:
    """state: `own` (valid, signed by this installation), `valid` (signed by somebody else), `broken` (the file or the
    manifest was changed). ai_made: it says that the picture was made or edited by AI. signer: what the certificate
    calls itself. facts: what visavis signed, {} for other programs. problems: what is broken, as the library says."""

    state: Literal["own", "valid", "broken"]
    ai_made: bool
    generator: str
    signer: str
    facts: Mapping[str, Any]
    problems: tuple[str, ...]


def sign(path: str | os.PathLike[str], facts: Mapping[str, Any], *, edited: bool = False) -> None:
    """Puts a signed manifest into a PNG or JPEG, in its place; no connection is made.

    facts: of the run; only those named in SIGNED go in. edited: a photo was changed, not a picture made. Raises
    InputError where the file is neither PNG nor JPEG or cannot be written, and where c2pa-python is missing.
    """
    c2pa = _library()
    data = paths.read_file(path, lambda head, size: None)
    mime = MIME.get(formats.recognise(data[: paths.HEAD]) or "")
    if mime is None:
        raise InputError(f"{paths.shown(path)} cannot be signed: it is neither PNG nor JPEG.")
    agent = {"name": "visavis", "version": version("visavis")}
    action = {"action": "c2pa.created", "softwareAgent": agent, "digitalSourceType": EDITED if edited else MADE}
    said = {name: facts[name] for name in SIGNED if name in facts}
    if Path(str(said.get("base", ""))).expanduser().is_absolute():
        said["base"] = paths.file_name(said["base"])  # a picture that is passed on tells nothing of this machine
    manifest = {
        "claim_generator_info": [agent],
        "format": mime,
        "assertions": [{"label": ACTIONS, "data": {"actions": [action]}}, {"label": LABEL, "data": said}],
    }
    key, chain = _key()
    asked = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, chain.encode(), key.encode(), None)
    out = io.BytesIO()
    try:
        with (
            held(),
            c2pa.Signer.from_info(asked) as signer,
            c2pa.Context.from_dict(_offline()) as context,
            c2pa.Builder(manifest, context=context) as builder,
        ):
            builder.sign(signer, mime, io.BytesIO(data), out)
    except c2pa.C2paError as error:
        raise InputError(f"{paths.shown(path)} cannot be signed ({error}).") from error
    write_bytes(path, out.getvalue())


def ready() -> None:
    """Raises InputError where nothing can be signed here: asked before long work."""
    _library()
    _key()


def read(path: str | os.PathLike[str]) -> Manifest | None:
    """The manifest of a picture file, checked; None where it has none. No connection is made, whatever it names.

    Raises InputError where the file cannot be read or its manifest lies elsewhere, and where c2pa-python is missing.
    """
    c2pa = _library()
    data = paths.read_file(path, lambda head, size: None)
    asked = _offline()
    if _file().exists():
        own_root = _split(_file())[1].split(END_OF_CERTIFICATE)[1] + END_OF_CERTIFICATE
        asked["trust"] = {"user_anchors": own_root, "trust_config": EMAIL_PROTECTION}
    try:
        with held(), c2pa.Context.from_dict(asked) as context:
            reader = c2pa.Reader.try_create(None, io.BytesIO(data), context=context)
            if reader is None:
                return None
            with reader:
                return _manifest(json.loads(reader.json()))
    except c2pa.C2paError.NotSupported:
        return None
    except c2pa.C2paError as error:
        if str(error).startswith("Remote"):
            said = _shown(str(error).rpartition(" ")[2])
            raise InputError(f"The manifest of {paths.shown(path)} lies at {said}; visavis fetches nothing.") from error
        return Manifest("broken", False, "", "", {}, (_shown(str(error)),))


def _manifest(store: Mapping[str, Any]) -> Manifest:
    """From the library's report, of which any part may be missing or odd: the file may be anybody's."""
    told = store.get("manifests", {}).get(store.get("active_manifest"), {})
    states: dict[Any, Literal["own", "valid"]] = {"Trusted": "own", "Valid": "valid"}
    failures = store.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    kept = {assertion["label"]: assertion.get("data") for assertion in told.get("assertions", [])}
    parts = {label: data for label, data in kept.items() if isinstance(data, dict)}
    actions = [one for label, data in parts.items() if label.startswith("c2pa.actions") for one in data["actions"]]
    agent, signer = (told.get("claim_generator_info") or [{}])[0], told.get("signature_info", {})
    return Manifest(
        states.get(store.get("validation_state"), "broken"),
        any(action.get("digitalSourceType") in (MADE, EDITED) for action in actions),
        _shown(" ".join(str(agent[part]) for part in ("name", "version") if agent.get(part))),
        _shown(", ".join(str(signer[part]) for part in ("common_name", "issuer") if signer.get(part))),
        parts.get(LABEL, {}),
        tuple(_shown(str(one.get("explanation") or one["code"])) for one in failures if one["code"] != UNTRUSTED),
    )


def _shown(text: str) -> str:
    """Words of a stranger, fit for a terminal."""
    return paths.shown(text[:200])


def _offline() -> dict[str, Any]:
    return {
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {"thumbnail": {"enabled": False}},
    }


def _library() -> ModuleType:
    try:
        return importlib.import_module("c2pa")
    except ModuleNotFoundError as error:
        raise missing_extra("ml", "A signed manifest (C2PA)") from error


def _file() -> Path:
    return settings().data / "keys" / "c2pa.pem"


def _key() -> tuple[str, str]:
    """This installation's private key and its certificates (own, then the root that made it), as PEM."""
    file = _file()
    private_folder(file.parent)
    with locked(file.with_suffix(".lock")):
        if not file.exists():
            try:
                write_whole(file, [_new_key().encode()])  # readable by its owner alone (0600)
            except OSError as error:
                raise InputError(f"{file} cannot be written ({error.strerror}).") from error
    return _split(file)


def _split(file: Path) -> tuple[str, str]:
    try:
        text = file.read_text()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError:
        text = ""
    key, end, chain = text.partition(END_OF_KEY)
    if not end or chain.count(END_OF_CERTIFICATE) != 2:
        raise InputError(f"{file} is damaged: remove it and a new key is made (old pictures are then another's).")
    return key + end, chain


def _new_key() -> str:
    """A key, its certificate and the root that signed it, whose own key nobody keeps: it signs nothing else."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)  # clocks differ

    def name(called: str) -> x509.Name:
        parts = (NameOID.ORGANIZATION_NAME, "visavis"), (NameOID.COMMON_NAME, called)
        return x509.Name([x509.NameAttribute(part, text) for part, text in parts])

    def certificate(called: str, owner: ec.EllipticCurvePrivateKey, root: bool) -> x509.Certificate:
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
        )
        more = {"encipher_only": False, "decipher_only": False}
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(called))
            .issuer_name(name(ROOT))
            .public_key(owner.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(since + datetime.timedelta(days=365 * YEARS))
            .add_extension(x509.BasicConstraints(root, 0 if root else None), True)
            .add_extension(x509.KeyUsage(digital_signature=not root, key_cert_sign=root, **usage, **more), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(owner.public_key()), False)
        )
        if not root:
            purpose = x509.ExtendedKeyUsage([x509.ObjectIdentifier(EMAIL_PROTECTION)])
            issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
            builder = builder.add_extension(purpose, False).add_extension(issuer, False)
        return builder.sign(root_key, hashes.SHA256())

    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = [certificate("visavis on this machine", key, False), certificate(ROOT, root_key, True)]
    return "".join(part.decode() for part in (private, *(c.public_bytes(serialization.Encoding.PEM) for c in chain)))
