"""nano's model card, written into its folder: what it is, how to use it, what it was trained on, what it cannot do."""

from __future__ import annotations

from visavis.bases.nano.words import FREE, LENGTH, NUMBERS, TELLING
from visavis.core.catalogue import Terms

LICENCES = {"permissive": "apache-2.0"}  # of the weights; others are named in words
CARD = """---
license: {licence}
library_name: diffusers
pipeline_tag: text-to-image
---
# nano
A small text-to-image model of faces: 128 x 128 px, {millions} million parameters, stock classes of diffusers and
transformers only. Its faces are of nobody.

```python
from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained("nano")
pipeline("a smiling woman of 40, looking left", num_inference_steps=20, guidance_scale=3.0).images[0]
```
Guidance 3 and 20 steps: the pipeline's own defaults (7.5 and 50) are too strict and slower.

## What it can be told
Prompts of at most {length} words out of: {words}; numbers from {first} to {last} for the age that somebody looks like;
{free} for systems to give a meaning. left and right are the picture's. Other words count as unknown and say nothing.

## What it was trained on
{data}. Terms of the weights: {terms}. Captions were made from the data set's labels of age and gender presentation and
from measures of the face mesh and the pixels; no word names an origin. Where a photo ends inside
the frame, what lies beyond was not learnt.

## Limits
Small, and trained on few photos. The data set's labels are other people's judgement of photos. A picture that resembles
somebody does so by chance; how near it comes to photos it was trained on is among the figures (`visavis results nano`
in a checkout of visavis: `copy.*`).
"""


def card(parameters: int, data: str, terms: Terms) -> str:
    """Markdown with the metadata that hubs read."""
    return CARD.format(
        licence=LICENCES.get(terms, "other"),
        millions=round(parameters / 1e6),
        length=LENGTH - 2,
        words=", ".join(TELLING),
        first=NUMBERS[0],
        last=NUMBERS[-1],
        free=f"{FREE[0]} to {FREE[-1]}",
        data=data,
        terms=terms,
    )
