"""Variables that no process of a model may see, and some that it needs.

A sample: `environment = {**os.environ, **KEYS, **NEEDED}`
"""

from __future__ import annotations

MARK = "planted-5f0c"  # in every value
KEYS = {
    name: f"{MARK}-{number}"
    for number, name in enumerate(
        [
            "OPENAI_API_KEY", "LITECOT_TEACHER_KEY", "LITECOT_TEACHER", "MY_SERVER",
            "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
            "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "VLLM_API_KEY", "GITHUB_TOKEN",
            "PREFECT_API_KEY", "PREFECT_API_DATABASE_CONNECTION_URL", "DB_PASSWORD", "PGPASSWORD",
            "SLURM_JWT", "AZURE_CLIENT_SECRET", "GOOGLE_APPLICATION_CREDENTIALS", "SSH_AUTH_SOCK",
            "openai_api_key", "HF_SECRET_1",
        ]
    )
}  # fmt: skip
KEYS["HF_ENDPOINT"] = f"https://me:{MARK}@hub.example.org"  # listed, with a password in it
NEEDED = {
    "HF_HOME": "/needed/hf", "NCCL_DEBUG": "WARN", "VLLM_MAX_TOKENS_PER_EXPERT_FP4_MOE": "1",
    "VLLM_MULTI_STREAM_GEMM_TOKEN_THRESHOLD": "1", "TOKENIZERS_PARALLELISM": "false",
    "LC_ALL": "C.UTF-8", "https_proxy": "http://user:pass@127.0.0.1:9", "NO_PROXY": "127.0.0.1",
}  # fmt: skip
