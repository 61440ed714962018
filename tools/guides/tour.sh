#!/usr/bin/env bash
# A tour of DualFair on generated faces: every stage, and what to look at after it. No downloads and no GPU.
# Half an hour with looking: the commands took 19 minutes on one CPU core beside other work.
#
#   bash tools/guides/tour.sh              # into ./tour
#   bash tools/guides/tour.sh FOLDER
#   SEEDS=4 BIAS=0 bash tools/guides/tour.sh FOLDER
#
# Stopped at any point, the same command goes on where it was. Other sizes need another folder, or the old one removed.
set -euo pipefail

: "${IDENTITIES:=320}"         # people who do not exist, in two groups
: "${IMAGES:=10}"              # images of each
: "${SIZE:=32}"                # side of an image in pixels
: "${BIAS:=0.8}"               # 0: the groups are exchangeable; 1: they are recognised by the most different cues
: "${SPACE:=dpn81-shared}"     # 243 networks
: "${SPLIT:=0.25,0.5,0.25}"    # training, validation (half to search on, half to confirm on) and test people
: "${EPOCHS:=18}"              # of the supernet
: "${BATCH:=32}"
: "${LR:=0.2}"
: "${POPULATION:=20}"          # networks a generation
: "${GENERATIONS:=6}"
: "${CALIBRATE:=400}"          # images for the normalisation statistics of a network
: "${COMPARE_SEEDS:=20}"       # NSGA-II against random search
: "${RETRAIN_EPOCHS:=12}"
: "${SEEDS:=3}"                # trainings of every network from scratch
: "${CONTROLS:=2}"             # networks evenly spaced in the cheap score
: "${DRAWN:=12}"               # networks drawn at random
: "${BACKBONES:=test_resnet test_efficientnet}"   # two small ones of timm's
: "${RESAMPLES:=1000}"         # of the evaluation's intervals
: "${PLAN_SECONDS:=20}"        # to measure this machine

tour=${1:-./tour}
faces=$tour/faces run=$tour/run
mkdir -p "$tour"
began=$SECONDS

step() {
    printf '\n=== %s (after %d min %d s)\n' "$1" $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60))
}

step "1. Faces of people who do not exist"
# The two groups are recognised by different cues: fine texture in one, the shape of the face in the other.
if [ ! -f "$faces/manifest.csv" ]; then
    dualfair faces synth --out "$faces" --identities "$IDENTITIES" --images "$IMAGES" --size "$SIZE" --bias "$BIAS"
fi
# LOOK: faces/preview.png shows some of them. With your own photographs, look for crops that cut the face.

step "2. Are the faces sound?"
dualfair faces check "$faces" --split "$SPLIT"
# LOOK: "No faults"; the table has people of both groups in every split. A line with FAULT has to be dealt with first.

step "3. What will it cost?"
dualfair plan --faces "$faces" --space "$SPACE" --size "$SIZE" --split "$SPLIT" --epochs "$EPOCHS" --batch "$BATCH" \
    --population "$POPULATION" --generations "$GENERATIONS" --calibrate "$CALIBRATE" --retrain-epochs "$RETRAIN_EPOCHS" \
    --seeds "$SEEDS" --controls "$CONTROLS" --random "$DRAWN" --seconds "$PLAN_SECONDS"
# LOOK: the line "together". The compared searches, the backbones and the evaluation below come on top.

step "4. Train one supernet"
dualfair train --faces "$faces" --out "$run" --space "$SPACE" --size "$SIZE" --split "$SPLIT" --epochs "$EPOCHS" \
    --batch "$BATCH" --lr "$LR"
# LOOK: "Every operation got exactly ... updates" and "Steps skipped: 0". The loss on the progress bar has to fall.

step "5. Search it for networks with a low error and a low disparity"
dualfair search --run "$run" --population "$POPULATION" --generations "$GENERATIONS" --calibrate "$CALIBRATE"
# LOOK: first at "to beat" (raw pixels, an untrained network), then at the reliability of rank_disparity, and at the
# end at how many of the front's networks stayed on the front for people whom the search had not seen.

step "6. Was the search worth it?"
dualfair compare --run "$run" --seeds "$COMPARE_SEEDS"
# LOOK: NSGA-II beside random search at equal evaluations. In a space this small random search comes close.

step "7. Train some networks from scratch: the truth"
dualfair retrain --run "$run" --epochs "$RETRAIN_EPOCHS" --seeds "$SEEDS" --controls "$CONTROLS" --random "$DRAWN"
# LOOK: the test columns, mean and standard error over trainings. Networks closer than two standard errors are alike.

step "8. Does the cheap score rank as the truth does?"
dualfair correlate --run "$run"
# LOOK: the "=>" lines. An interval of tau that holds 0 means: not shown.

step "9. What one would take instead"
words=()
for backbone in $BACKBONES; do
    words+=(--backbone "$backbone")
done
dualfair retrain --run "$run" "${words[@]}" --head cosface --seeds "$SEEDS"
dualfair shelf --run "$run"
# LOOK: error and disparity beside parameters; and whether our front has more hypervolume than theirs. It may well not.

step "10. One page for everybody"
dualfair report "$run" --out "$tour/report/report.html"
# LOOK: open report/report.html in a browser and read "What not to believe" before the rest.

step "11. The recommended network, for use elsewhere"
# ONNX needs a few packages more (pip install '.[onnx]'); without them timm's format is written.
dualfair export "$run" --to "$tour/exported" --format onnx || dualfair export "$run" --to "$tour/exported" --format timm
# LOOK: exported/README.md, its model card.

step "12. Every measure of that network"
dualfair evaluate --network "$tour/exported" --faces "$faces" --out "$tour/evaluated" --resamples "$RESAMPLES"
# LOOK: the signed difference "a minus b" and its interval; where that holds 0, no difference is shown.

step "13. Where the run stands"
dualfair status "$run"
# LOOK: what is finished, what is missing, and what to type next.

step "The end"
echo "Pictures: $faces/preview.png $run/search/front.png $run/correlate/ranking.png"
echo "The page: $tour/report/report.html"
echo "A run this small shows how to go about it; it says nothing about real people."
