package reference;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.FileOutputStream;
import java.io.FileDescriptor;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.UnknownCodeSystemWarningValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;

/**
 * Judges the files named on standard input, one path a line, and prints one line of JSON for each.
 *
 * <p>With {@code --profiles FOLDER} the definitions of that folder are known too. Nothing is fetched: what is
 * neither in R4 nor in that folder is unknown, and unknown is never an error (see the README for each setting).
 */
public final class Judge {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final List<String> DEFINITIONS = List.of("StructureDefinition", "ValueSet", "CodeSystem");

    private Judge() {}

    public static void main(String[] arguments) throws IOException {
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        FhirContext context = FhirContext.forR4();
        IValidationSupport profiles = null;
        for (int at = 0; at + 1 < arguments.length; at += 2) {
            if (arguments[at].equals("--profiles")) {
                profiles = profilesIn(Path.of(arguments[at + 1]), context);
            }
        }
        FhirValidator validator = validator(context, profiles);
        BufferedReader paths = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String path = paths.readLine(); path != null; path = paths.readLine()) {
            if (!path.isBlank()) {
                out.println(JSON.writeValueAsString(judged(path, validator)));
            }
        }
    }

    private static FhirValidator validator(FhirContext context, IValidationSupport profiles) {
        UnknownCodeSystemWarningValidationSupport unknownSystems = new UnknownCodeSystemWarningValidationSupport(context);
        unknownSystems.setNonExistentCodeSystemSeverity(IValidationSupport.IssueSeverity.WARNING);
        ValidationSupportChain chain = new ValidationSupportChain();
        if (profiles != null) {
            chain.addValidationSupport(profiles);
        }
        chain.addValidationSupport(new DefaultProfileValidationSupport(context));
        chain.addValidationSupport(new CommonCodeSystemsTerminologyService(context));
        chain.addValidationSupport(new InMemoryTerminologyServerValidationSupport(context));
        chain.addValidationSupport(new SnapshotGeneratingValidationSupport(context));
        chain.addValidationSupport(unknownSystems);

        FhirInstanceValidator module = new FhirInstanceValidator(chain);
        module.setAnyExtensionsAllowed(true);
        module.setErrorForUnknownProfiles(false);
        module.setBestPracticeWarningLevel(BestPracticeWarningLevel.Warning);
        return context.newValidator().registerValidatorModule(module);
    }

    private static PrePopulatedValidationSupport profilesIn(Path folder, FhirContext context) throws IOException {
        PrePopulatedValidationSupport known = new PrePopulatedValidationSupport(context);
        List<Path> files;
        try (Stream<Path> found = Files.list(folder)) {
            files = found.filter(each -> each.toString().endsWith(".json")).sorted().toList();
        }
        for (Path file : files) {
            String name = file.getFileName().toString();
            if (DEFINITIONS.contains(name.substring(0, Math.max(0, name.indexOf('-'))))) {
                IBaseResource resource = context.newJsonParser().parseResource(Files.readString(file));
                known.addResource(resource);
            }
        }
        return known;
    }

    private static Map<String, Object> judged(String path, FhirValidator validator) {
        Map<String, Object> row = new LinkedHashMap<>();
        row.put("file", path);
        List<Map<String, Object>> messages = new ArrayList<>();
        try {
            String text = Files.readString(Path.of(path));
            for (SingleValidationMessage each : validator.validateWithResult(text).getMessages()) {
                messages.add(message(
                        each.getSeverity().getCode(),
                        each.getLocationString(),
                        each.getMessageId(),
                        each.getMessage()));
            }
        } catch (IOException | RuntimeException fault) {
            messages.add(message("fatal", "", fault.getClass().getSimpleName(), String.valueOf(fault.getMessage())));
        }
        row.put("messages", messages);
        return row;
    }

    private static Map<String, Object> message(String severity, String location, String id, String text) {
        Map<String, Object> message = new LinkedHashMap<>();
        message.put("severity", severity);
        message.put("location", location);
        message.put("messageId", id);
        message.put("text", text);
        return message;
    }
}
