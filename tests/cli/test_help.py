"""--help lists the flags that count for a command; every earlier flag still parses."""

import json
import os
import re

import pytest

from tests.helpers import processes
from youtube8m.cli import stored_help
from youtube8m.runs.starter_code import UNSAVED


def words(text):
    return set(text.split())


# The flags of each command before --import, hyper-parameters and data apart.
HYPERPARAMETERS = words(
    """
    active_experts attention_score attention_size audio_lstm_cells cells_per_class
    center_loss_weight center_mean center_rate chain_dropout chain_groups
    clustering_alpha clustering_post clustering_projection coarse_loss_weight
    coarse_num_mixtures correlation_alpha correlation_beta correlation_gamma
    dbof_activation dbof_add_batch_norm dbof_cluster_size dbof_hidden_size
    dbof_pooling_method decoder_lstm_cells distribution_bottleneck dropout_keep_prob
    dropout_rate embedding_size expert_size feature_bottleneck fusion_size gru_cells
    gru_layers hidden_size hinge_margin huber_delta importance_weight integer_division
    interleaved iterations kernel_height label_num_mixtures layer_norm load_weight
    logit_correlation lstm_cells lstm_layers lstm_memory min_lstm_cells miss_cap
    miss_power mlp_activation mlp_dropout mlp_layer_norm mlp_layers mlp_size
    modality_fusion moe_hidden_size moe_num_mixtures negative_threshold num_channels
    num_experts pool_size projection_weight released_code residual residual_projection
    sample_random_frames top_lstm_cells vertical_bias visual_lstm_cells
"""
)
MODEL = words(
    """
    label_loss label_processing model video_level_classifier_model vocabulary_file
"""
)
DATA = words(
    """
    crop_frames crop_range crop_start crop_stride feature_names feature_sizes
    frame_features frame_sampling max_frames num_classes skip_frames
"""
)
OWN = {
    "average_checkpoints": "checkpoints last output_dir train_dir",
    "benchmark": "batch_size data_pattern jit_compile num_frames num_readers "
    "num_videos output_file precision repetitions row seconds tolerance",
    "convert_checkpoint": "batch_size checkpoint optimizer output_dir train_dir",
    "convert_mediapipe": "feature_names output_file quantize strict_data "
    "vocabulary_file zero_missing",
    "convert_prediction_from_json_to_csv": "csv_output_file "
    "json_prediction_files_pattern",
    "demo": "directory",
    "ensemble": "eval_data_pattern gaps input_files num_classes output_file "
    "segment_max_pred top_k validation_files weights",
    "download": "base_url directory jobs mirror partition shard tries vocabulary",
    "eval": "batch_size checkpoint class_metrics_file eval_data_pattern keep_best "
    "metrics_file num_readers num_shards run_once segment_labels shard_index "
    "strict_data top_k train_dir",
    "export": "checkpoint format output_dir top_k train_dir",
    "export_model_mediapipe": "checkpoint_file output_dir",
    "extract_descriptors": "batch_size checkpoint feature_name input_data_pattern "
    "labels output_dir shard_size train_dir",
    "extract_features": "audio batch_size feature_dtype fit_pca fit_pca_videos "
    "frames_per_second id image_feature_key image_model image_range image_weights "
    "input_videos input_videos_csv insert_zero_audio_features labels_feature_key "
    "max_frames model_dir num_workers output_dir output_tfrecords_file pca_dir "
    "segments_csv shard_size skip_frame_level_features video_file_feature_key "
    "vocabulary_file",
    "inference": "batch_size checkpoint crop_starts ensemble_average ensemble_weights "
    "input_data_pattern input_model_tgz names num_readers num_shards output_file "
    "output_format output_model_tgz segment_label_ids segment_label_ids_file "
    "segment_labels segment_max_pred shard_index strict_data top_k train_dir "
    "untar_model_dir",
    "inspect_data": "id_key json labels_key report_dir vocabulary_file",
    "label_correlation": "num_classes output_file train_data_pattern",
    "merge_shards": "input_files num_shards output_file segment_max_pred",
    "models": "",
    "explain": "batch_size checkpoint image_model input_data_pattern "
    "insert_zero_audio_features model_dir num_workers pca_dir report_dir top_k "
    "train_dir video_id",
    "predict": "batch_size checkpoint image_model insert_zero_audio_features "
    "model_dir num_workers pca_dir timeline top_k train_dir",
    "presets": "",
    "report": "batch_size checkpoint eval_data_pattern port report_dir segment_labels "
    "top_k train_dir watch",
    "sample_data": "directory feature_names feature_sizes max_frames mean_labels "
    "min_frames noise num_classes num_shards num_test num_train num_validate "
    "one_frame_share seed",
    "segment_eval_inference": "eval_data_pattern label_cache num_classes "
    "submission_file top_n",
    "train": "base_learning_rate batch_size clip_gradient_norm ema_decay "
    "export_model_steps jit_compile keep_checkpoints label_correlation_file "
    "learning_rate_decay learning_rate_decay_examples log_device_placement max_steps "
    "num_epochs num_gpu num_readers optimizer precision preset regularization_penalty "
    "save_checkpoint_minutes seed segment_labels shuffle_buffer start_new_model "
    "steps_per_loop strict_data train_data_pattern train_dir warm_start_from",
}
OWN["youtube_ids"] = "base_url youtube_ids_cache"
READERS = {"eval", "inference", "export", "export_model_mediapipe"} | {
    "average_checkpoints",
    "convert_checkpoint",
    "extract_descriptors",
    "predict",
    "explain",
    "report",
}
OF_MODELS = READERS | {"train", "benchmark"}
OF_DATA = {"eval", "inference", "train", "benchmark", "predict", "explain", "report"}

# Of each tool in a process of its own: the names of its flags, and its help.
SAYS = """
import importlib, json, os, sys
import youtube8m.tools
from absl import flags
from youtube8m.cli import help
for tool in sys.argv[1:]:
    sys.stdout.flush()
    if not os.fork():
        module = importlib.import_module("youtube8m.tools." + tool)
        names = list(flags.FLAGS)
        text = help.text(module.__doc__, ["tool"])
        print(json.dumps([tool, names, text]), flush=True)
        os._exit(0)
    os.wait()
"""


def listed_in(text):
    return set(re.findall(r"^  --(\w+)=", text, re.MULTILINE))


@pytest.fixture(scope="module")
def said():
    """Tool -> (names of its flags, its help)."""
    lines = processes.forked("-c", SAYS, *OWN).stdout.splitlines()
    return {tool: (set(names), text) for tool, names, text in map(json.loads, lines)}


@pytest.mark.parametrize("tool", OWN)
def test_every_flag_of_earlier_versions_parses(said, tool):
    names = words(OWN[tool])
    if tool in OF_MODELS:
        names |= HYPERPARAMETERS | MODEL
    if tool in OF_DATA:
        names |= DATA
    assert names <= said[tool][0]


@pytest.mark.parametrize("tool", sorted(READERS))
def test_commands_that_read_a_run_list_their_own_flags(said, tool):
    listed = listed_in(said[tool][1])
    assert listed >= {*words(OWN[tool]), "import", *UNSAVED}
    assert not (listed - {*UNSAVED}) & (HYPERPARAMETERS | MODEL | DATA)


def test_flags_that_the_starter_codes_directories_lack_have_a_heading(said):
    before, after = said["eval"][1].split("For a directory that the starter code")
    assert listed_in(after) == {*UNSAVED}
    assert not listed_in(before) & {*UNSAVED}
    assert re.search(r"--iterations=30\n +[A-Z]", after)


@pytest.mark.parametrize("tool", sorted({*OWN} - READERS))
def test_other_commands_list_general_flags(said, tool):
    listed = listed_in(said[tool][1])
    assert listed >= words(OWN[tool])
    assert not listed & (HYPERPARAMETERS - {"dropout_keep_prob"})
    if tool in OF_MODELS:
        assert listed >= MODEL | DATA | {"dropout_keep_prob", "import"}


def test_help_is_readable(said):
    for tool, (_, text) in said.items():
        for name in listed_in(text):
            sentence = re.search(rf"^  --{name}=.*\n      (.*)", text, re.MULTILINE)
            assert sentence and re.match(r"[A-Z'\"<]|mer|sco|sav", sentence[1]), name
        flags_alone = text.partition("Flags:")[2]
        assert max(map(len, flags_alone.splitlines())) <= 80, tool


@pytest.mark.parametrize("tool", OWN)
def test_the_stored_help_is_up_to_date(said, tool):
    stored = stored_help.find(tool, [tool, "--help"])
    assert stored == said[tool][1] + "\n", "run: python docs/write_help.py"


def test_help_is_stored_of_tools_alone():
    assert {path.stem for path in stored_help.FOLDER.iterdir()} == {*OWN}


@pytest.mark.parametrize("start", [["train.py"], ["-m", "youtube8m.tools.train"]])
def test_help_alone_loads_no_tensorflow(start, tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise AssertionError")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = processes.run(*start, "--help", status=1, env=environment)
    assert done.stdout == help_of_train("--help", "--batch_size=3") and not done.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["--help", "--model=LstmModel"], ["help"], ["--halp"], ["--"]]
)
def test_other_command_lines_have_no_stored_help(arguments):
    assert stored_help.find("train", ["train.py", *arguments]) is None
    assert stored_help.find("trian", ["trian.py", "--help"]) is None


def help_of_train(*arguments):
    return processes.forked("train.py", *arguments, status=1).stdout


def test_train_lists_the_flags_of_the_chosen_model_classifier_and_loss():
    text = help_of_train(
        "--help",  # wherever it stands
        "--model=LstmModel",
        "--label_loss=HingeLoss",
        "--label_processing=LabelCorrelation",
    )
    chosen = {"lstm_cells", "moe_num_mixtures", "hinge_margin", "correlation_beta"}
    assert chosen <= listed_in(text)
    assert not listed_in(text) & {"mlp_size", "huber_delta", "dbof_activation"}
    assert re.search(r"^LstmModel: .*\n(.*\n)?\n  --lstm_cells=1024\n", text, re.M)
    assert "along with --model" not in text  # it is given


def test_help_shows_the_values_of_a_preset():
    text = help_of_train("--preset=zou2017-bilstm-moe", "-help")
    assert "--model=StackedBiLSTMLN" in text and "--batch_size=128" in text
    assert {"top_lstm_cells", "moe_num_mixtures"} <= listed_in(text)
    assert "along with --model" not in text


def test_help_of_a_model_that_there_is_not_is_one_line():
    done = processes.forked("train.py", "--help", "--model=LstmModle", status=1)
    assert done.stderr == (
        "error: --model: there is no 'LstmModle'; did you mean LstmModel or LSTMMoE "
        "or LogisticModel?\n"
    )
    assert not done.stdout


def test_the_console_command_runs_tools_by_name():
    start = "from youtube8m.cli.startup import main; main()"
    listed = processes.forked("-c", start, status=1).stdout
    assert {*OWN} <= set(listed.split())
    done = processes.forked("-c", start, "sample_data", "--help", status=1)
    assert "--num_train=800" in done.stdout
    done = processes.forked("-c", start, "trian", status=1)
    assert done.stderr == "error: command: there is no 'trian'; did you mean train?\n"
