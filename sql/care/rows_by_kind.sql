-- grain: one row per kind of rationale, all runs together
-- text_bytes: of the texts, before the parts compress them
select kind, count(*) as num_rows, sum(num_tokens)::bigint as num_tokens, sum(strlen(text))::bigint as text_bytes
from raw_rationales
group by kind
order by kind
