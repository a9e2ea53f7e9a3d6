"""Identity in the text embedding: conformance, order of words, gradients."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import CLIPTextConfig, CLIPTextModel  # noqa: E402

from visavis.blocks.identity.prompt import encoded, inserted, pad, widened  # noqa: E402

START, END, PAD, SELF = 2, 3, 0, 9


def ids(*words: int, length: int = 8) -> Any:
    row = [START, *words, END]
    return torch.tensor([row + [PAD] * (length - len(row))])


@pytest.fixture
def encoder() -> Any:
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=8,
        bos_token_id=START,
        eos_token_id=END,
        pad_token_id=PAD,
    )
    return CLIPTextModel(config).eval()


def text_model(file: Any) -> Any:
    known = {key: value for key, value in file.config.items() if key in CLIPTextConfig().to_dict()}
    made = CLIPTextModel(CLIPTextConfig(**known)).eval()
    made.load_state_dict(file.part("text_model."))
    return made


def test_encoder_of_arc2face(golden: Any) -> None:
    file = golden("arc2face_encoder")
    model, given = text_model(file), file.given
    vectors = pad(given["vectors"], file.config["hidden_size"])
    file.check(encoded(model, given["input_ids"], file.config["id_token"], vectors), "id_prompt")
    file.check(model(given["empty_ids"])[0], "empty_prompt")
    file.check(model(given["input_ids"])[0], "plain_prompt")


def test_true_width_of_arc2face(golden: Any) -> None:
    file = golden("arc2face_width768")
    model, given = text_model(file), file.given
    vectors = pad(given["vectors"], file.config["hidden_size"])
    file.check(encoded(model, given["input_ids"], file.config["id_token"], vectors)[:, :8], "id_prompt_first_8")
    file.check(model(given["empty_ids"])[0][:, :8], "empty_prompt_first_8")


def test_later_words_move_right() -> None:
    whole = widened(ids(5, SELF, 6), SELF, 3, END)
    assert whole.tolist() == [[START, 5, SELF, SELF, SELF, 6, END, PAD]]
    assert torch.equal(widened(ids(5, SELF, 6), SELF, 1, END), ids(5, SELF, 6))


def test_what_does_not_fit_is_cut_and_the_end_stays() -> None:
    assert widened(ids(5, SELF, 6, 7), SELF, 4, END).tolist() == [[START, 5, SELF, SELF, SELF, SELF, 6, END]]
    assert widened(ids(5, 6, 7, 8, SELF), SELF, 4, END).tolist() == [[START, 5, 6, 7, 8, SELF, SELF, END]]
    rows = torch.cat([ids(SELF), ids(5, 6, SELF)])
    assert widened(rows, SELF, 2, END).tolist() == [
        [START, SELF, SELF, END, PAD, PAD, PAD, PAD],
        [START, 5, 6, SELF, SELF, END, PAD, PAD],
    ]


def test_vectors_stand_where_their_words_were(encoder: Any) -> None:
    """The encoder's own embeddings put in by hand change nothing; others change what follows, not what precedes."""
    said = ids(5, 7, 8, 6)
    own = encoder.get_input_embeddings().weight[[7, 8]][None]
    wide = widened(ids(5, SELF, 6), SELF, 2, END)
    assert torch.allclose(encoded(encoder, wide, SELF, own), encoder(said)[0], atol=1e-6)
    other = encoded(encoder, wide, SELF, torch.randn(own.shape))  # own + 1 is nearly own: layers take the mean off
    same = (other - encoder(said)[0]).abs().amax(-1)[0] < 1e-6
    assert same.tolist() == [True, True, *[False] * 6]


def test_cut_vectors_are_the_last_ones(encoder: Any) -> None:
    wide = widened(ids(5, 6, 7, 8, SELF), SELF, 4, END)
    vectors = torch.randn(1, 4, 16)
    shorter = encoded(encoder, wide, SELF, vectors[:, :2])
    assert torch.equal(encoded(encoder, wide, SELF, vectors), shorter)


def test_one_sentence_with_each_of_several_people(encoder: Any) -> None:
    vectors = pad(torch.randn(3, 10), 16)
    together = encoded(encoder, ids(5, SELF), SELF, vectors)
    alone = torch.cat([encoded(encoder, ids(5, SELF), SELF, vectors[i : i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_gradients_reach_vectors_and_the_hook_goes(encoder: Any) -> None:
    before = encoder(ids(5, SELF))[0]
    vectors = torch.randn(1, 10, requires_grad=True)
    encoded(encoder, ids(5, SELF), SELF, pad(vectors, 16)).square().sum().backward()
    assert vectors.grad.abs().min() > 0
    assert torch.equal(encoder(ids(5, SELF))[0], before)
    with pytest.raises(ValueError, match="2 rows of tokens for 1"), inserted(encoder, SELF, torch.zeros(1, 1, 16)):
        encoder(ids(5, SELF).expand(2, -1))
    assert torch.equal(encoder(ids(5, SELF))[0], before)


def test_bad_input(encoder: Any) -> None:
    with pytest.raises(ValueError, match="with d up to 16"):
        pad(torch.zeros(1, 17), 16)
    with pytest.raises(ValueError, match="each row once, not \\[0\\]"):
        widened(ids(5, 6), SELF, 2, END)
    with pytest.raises(ValueError, match="each row once, not \\[2\\]"):
        widened(ids(SELF, SELF), SELF, 2, END)
    with pytest.raises(ValueError, match="1 to 2 times, not \\[3\\]"):
        encoded(encoder, ids(SELF, SELF, SELF), SELF, torch.zeros(1, 2, 16))
