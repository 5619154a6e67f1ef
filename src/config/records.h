/* The tables of this folder's structs, for those that hold them as fields: config and plan. */
#pragma once

#include "config/record.h"

extern const Codec codec_check_every; /* CheckEvery */
extern const Codec
        codec_interval; /* CheckEvery, left out when its interval is zero: of check plans */
extern const Codec codec_version;    /* VersionConfig * */
extern const Codec codec_put_inputs; /* PutInputs * */
extern const Codec codec_in_flight;  /* MaxInFlight */
extern const Codec
        codec_environment;     /* Value *: a map whose values become text (reference 03 §3.7) */
extern const Codec codec_step; /* StepConfig *; NULL for absent */
extern const Codec codec_step_always; /* StepConfig *; null is an error */
extern const Codec codec_steps;       /* GPtrArray * of StepConfig; NULL was null, written so */

extern const Record record_container_limits;
extern const Record record_task_config;
extern const Record record_resource_type;

/* How Go's %v shows a value in an error. Returns new. */
char *go_show(const Value *value);
