"""How good the vectors are, judged offline by what users did later."""
