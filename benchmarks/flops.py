"""How many floating-point operations a step needs in matrix products, from the model's config and the rows' lengths.

Counted is what the layout of training/packing.py cannot do without: each prompt once, what a batch's prompts begin with
once, no padding, attention over the pairs of tokens that see each other, the head on reply tokens. The last layer's MLP
is counted for all tokens. A product of m x k by k x n counts 2 m k n. Left out:
the adapter's own small products (about a twentieth), so that a share of the machine's speed is not flattered.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RowLengths:
    """Tokens of a prompt and of its two replies, each with its last token; of the prompt's, `shared` go through the
    model with another row of the batch."""

    prompt: int
    chosen: int
    rejected: int
    shared: int = 0

    @property
    def tokens(self) -> int:
        """That the model sees: a reply's last token predicts nothing."""
        return self.prompt + self.chosen + self.rejected - 2

    @property
    def scored(self) -> int:
        """Reply tokens, each of which the head is asked for."""
        return self.chosen + self.rejected

    @property
    def visible(self) -> int:
        """Pairs of tokens of which one sees the other: the prompt causally, each reply the prompt and itself."""
        own = (n * (n + 1) // 2 for n in (self.prompt, self.chosen - 1, self.rejected - 1))
        return sum(own) + self.prompt * (self.chosen + self.rejected - 2) - self.shared * (self.shared + 1) // 2


@dataclass(frozen=True, slots=True)
class EpisodeLengths:
    """Tokens of a prompt and of the one reply to it, with its last token; counted as those of a row."""

    prompt: int
    reply: int
    shared: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt + self.reply - 1

    @property
    def scored(self) -> int:
        return self.reply

    @property
    def visible(self) -> int:
        return self.tokens * (self.tokens + 1) // 2 - self.shared * (self.shared + 1) // 2


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a Llama-like model, as its config.json has them."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int

    @property
    def layer_matrices(self) -> tuple[tuple[int, int], ...]:
        """(out, in) of the linear layers of one layer: q, k, v, o, gate, up, down."""
        hidden, inner = self.hidden_size, self.intermediate_size
        queries, keys = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        return (
            (queries, hidden),
            (keys, hidden),
            (keys, hidden),
            (hidden, queries),
            (inner, hidden),
            (inner, hidden),
            (hidden, inner),
        )

    def linear_flops(self, row: RowLengths | EpisodeLengths) -> int:
        """One pass through all linear layers of the layers."""
        weights = self.num_hidden_layers * sum(out * into for out, into in self.layer_matrices)
        return 2 * (row.tokens - row.shared) * weights

    def attention_flops(self, row: RowLengths | EpisodeLengths) -> int:
        """One pass through both products of attention, queries by keys and weights by values."""
        return 4 * row.visible * self.num_hidden_layers * self.num_attention_heads * self.head_dim

    def head_flops(self, row: RowLengths | EpisodeLengths) -> int:
        """The logits of the reply tokens."""
        return 2 * row.scored * self.vocab_size * self.hidden_size


def read_shape(model: Path) -> Shape:
    """From the model's folder."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    heads = config["num_attention_heads"]
    known = {"head_dim": config["hidden_size"] // heads, "num_key_value_heads": heads} | config
    return Shape(**{name: int(known[name]) for name in Shape.__dataclass_fields__})


def dpo_flops(shape: Shape, rows: Sequence[RowLengths]) -> int:
    """Reference forwards, policy forwards, and the gradients of the inputs: the weights are frozen.

    Attention's gradient is four products for the two of its forward pass; the head's gradient is one.
    """
    return sum(3 * shape.linear_flops(r) + 4 * shape.attention_flops(r) + 3 * shape.head_flops(r) for r in rows)


def reward_flops(shape: Shape, rows: Sequence[RowLengths]) -> int:
    """Forwards, and the gradients of the inputs. The head is one row; replies go in with their last token too."""
    whole = [RowLengths(r.prompt, r.chosen + 1, r.rejected + 1, r.shared) for r in rows]
    return sum(2 * shape.linear_flops(r) + 3 * shape.attention_flops(r) for r in whole)


def ppo_update_flops(shape: Shape, episodes: Sequence[EpisodeLengths]) -> int:
    """All of a step of PPO but sampling and scoring, with one pass over the replies.

    Base, policy and value model see the replies; policy and value model see them again, each with its gradient. The
    value model's head is one row.
    """
    return sum(7 * shape.linear_flops(e) + 9 * shape.attention_flops(e) + 4 * shape.head_flops(e) for e in episodes)
