"""A made-up data set in a folder."""

from pathlib import Path

import numpy as np

BEGUN = 1_500_000_000
DAY = 86_400


def write_folder(folder: Path, *, users: int, items: int, actions: int) -> Path:
    """Write `actions` actions of `users` users over 100 days, most on new items."""
    folder.mkdir()
    rng = np.random.default_rng(17)
    vectors = rng.normal(size=(items, 384)) + 0.5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(folder / "item_embeddings.npy", vectors.astype(np.float32))
    (folder / "item_ids.txt").write_text("\n".join(f"i{item}" for item in range(items)))
    titles = [f"i{item},Item {item},,en" for item in range(items)]
    (folder / "items.csv").write_text("\n".join(["item_id,title,text,lang", *titles]))
    seconds = np.append(0, np.sort(rng.integers(1, 100 * DAY, actions - 1)))
    lines = ["user_id,item_id,action,ts"]
    for second in seconds.tolist():
        newest = 1 + int((items - 1) * second / (100 * DAY))
        kind = rng.choice(["view_post", "like_post", "share_post", "hide_post", "unlike_post"])
        lines.append(f"u{rng.integers(users)},i{rng.integers(newest)},{kind},{BEGUN + second}")
    (folder / "interactions.csv").write_text("\n".join(lines))
    (folder / "README.md").write_text("# Tiny\n\nMade up, by a\ntest (CC0).\n\nMore.\n")
    return folder
