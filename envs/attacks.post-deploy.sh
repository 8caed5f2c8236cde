# anonymeter asks for numpy below 2 and pyarrow below 22, which its code does not need: without its dependencies, which
# attacks.yaml holds. Snakemake runs this once, in the environment that it has just made.
set -euo pipefail
python -m pip install --no-deps anonymeter==1.1.0
