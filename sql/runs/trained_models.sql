-- grain: one row per student trained under the settings of the selected run, the latest first
select path, data_fingerprint
from raw_models
where stage_fingerprint = fingerprint_of('train')
order by created_at desc
