/* Every action's handler, by the file it is in. Internal to api. */
#pragma once

#include "api/call.h"

/* info.c */
void get_info(ApiCall *call);
void get_health(ApiCall *call);
void get_user(ApiCall *call);
void list_users(ApiCall *call);
void get_log_level(ApiCall *call);
void set_log_level(ApiCall *call);
void download_cli(ApiCall *call);
void get_creds(ApiCall *call);

/* wall.c */
void get_wall(ApiCall *call);
void set_wall(ApiCall *call);
void clear_wall(ApiCall *call);

/* components.c */
void list_components(ApiCall *call);
void pause_all_components(ApiCall *call);
void unpause_all_components(ApiCall *call);
void pause_component(ApiCall *call);
void unpause_component(ApiCall *call);

/* oidc.c */
void get_openid_configuration(ApiCall *call);
void get_signing_keys(ApiCall *call);

/* badges.c */
void job_badge(ApiCall *call);
void main_job_badge(ApiCall *call);
void pipeline_badge(ApiCall *call);

/* cc.c */
void get_cc(ApiCall *call);

/* history.c */
void get_versions_db(ApiCall *call);
void list_shared_resource(ApiCall *call);
void list_shared_type(ApiCall *call);

/* causality.c */
void get_downstream(ApiCall *call);
void get_upstream(ApiCall *call);

/* teams.c */
void list_teams(ApiCall *call);
void get_team(ApiCall *call);
void set_team(ApiCall *call);
void rename_team(ApiCall *call);
void destroy_team(ApiCall *call);

/* pipelines.c */
void list_all_pipelines(ApiCall *call);
void list_pipelines(ApiCall *call);
void get_pipeline(ApiCall *call);
void delete_pipeline(ApiCall *call);
void pause_pipeline(ApiCall *call);
void unpause_pipeline(ApiCall *call);
void archive_pipeline(ApiCall *call);
void expose_pipeline(ApiCall *call);
void hide_pipeline(ApiCall *call);
void rename_pipeline(ApiCall *call);
void order_pipelines(ApiCall *call);
void order_pipelines_within_group(ApiCall *call);
void list_pipeline_builds(ApiCall *call);

/* config.c */
void get_config(ApiCall *call);
void save_config(ApiCall *call);

/* jobs.c */
void list_all_jobs(ApiCall *call);
void list_jobs(ApiCall *call);
void get_job(ApiCall *call);
void list_job_builds(ApiCall *call);
void get_job_build(ApiCall *call);
void create_job_build(ApiCall *call);
void rerun_job_build(ApiCall *call);
void list_job_inputs(ApiCall *call);
void pause_job(ApiCall *call);
void unpause_job(ApiCall *call);
void schedule_job(ApiCall *call);
void clear_task_cache(ApiCall *call);

/* builds.c */
void list_builds(ApiCall *call);
void list_team_builds(ApiCall *call);
void get_build(ApiCall *call);
void get_build_plan(ApiCall *call);
void get_build_resources(ApiCall *call);
void get_build_preparation(ApiCall *call);
void create_build(ApiCall *call);
void create_pipeline_build(ApiCall *call);
void abort_build(ApiCall *call);
void set_build_comment(ApiCall *call);
void list_build_artifacts(ApiCall *call);

/* events.c */
void build_events(ApiCall *call);

/* resources.c */
void list_all_resources(ApiCall *call);
void list_resources(ApiCall *call);
void list_resource_types(ApiCall *call);
void get_resource(ApiCall *call);
void check_resource(ApiCall *call);
void check_resource_type(ApiCall *call);
void check_prototype(ApiCall *call);
void check_webhook(ApiCall *call);

/* versions.c */
void list_versions(ApiCall *call);
void get_version(ApiCall *call);
void enable_version(ApiCall *call);
void disable_version(ApiCall *call);
void pin_version(ApiCall *call);
void unpin_resource(ApiCall *call);
void set_pin_comment(ApiCall *call);
void version_inputs(ApiCall *call);
void version_outputs(ApiCall *call);
void clear_versions(ApiCall *call);
void clear_type_versions(ApiCall *call);
void clear_resource_cache(ApiCall *call);

/* workers.c */
void list_workers(ApiCall *call);
void register_worker(ApiCall *call);
void heartbeat_worker(ApiCall *call);
void land_worker(ApiCall *call);
void retire_worker(ApiCall *call);
void prune_worker(ApiCall *call);
void delete_worker(ApiCall *call);
void list_destroying_containers(ApiCall *call);
void report_containers(ApiCall *call);
void list_destroying_volumes(ApiCall *call);
void report_volumes(ApiCall *call);

/* containers.c */
void list_containers(ApiCall *call);
void get_container(ApiCall *call);
void list_volumes(ApiCall *call);

/* hijack.c */
void hijack_container(ApiCall *call);

/* artifacts.c */
void create_artifact(ApiCall *call);
void get_artifact(ApiCall *call);
